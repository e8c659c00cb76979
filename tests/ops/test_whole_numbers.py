"""What the table says of the dtype of a result holds for whole numbers too."""

import numpy as np
import pytest
from op_samples import NAMES, samples

import pullback as pb
from pullback.core.errors import DTypeError
from pullback.core.op import OPS

ELEMENTWISE = [name for name in NAMES if OPS[name].kind == "elementwise"]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint8])
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.filterwarnings("ignore")
def test_dtypes_of_whole_numbers_are_those_of_numpy(name, dtype):
    args, params = next(samples(name))
    whole = [np.ones(3, dtype) for _ in args]
    try:
        graph = pb.trace(lambda *xs: OPS[name](*xs, **params), *whole)
    except (DTypeError, TypeError) as error:
        pytest.skip(str(error))
    (node,) = graph.results
    assert np.asarray(graph.run(whole)[0]).dtype == node.dtype
