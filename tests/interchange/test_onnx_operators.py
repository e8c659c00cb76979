"""Every operator of the importer, on the cases with which ONNX itself defines it."""

import importlib
import pkgutil

import numpy as np
import pytest

from pullback.core.errors import PullbackError
from pullback.interchange import import_onnx
from pullback.interchange.onnx import importing  # noqa: F401  enters the operators
from pullback.interchange.onnx.importing.operators import OPERATORS
from pullback.interchange.onnx.reading import OPSETS

pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")

REFUSED = (
    "mask", "training", "argmax_2d", "batchwise", "_seq", "_opt", "multiply", "reduction_m",
    "scatternd_m", "scan_sum", "crd_mode", "empty_set", "string", "bfloat16", "float8", "float4",
    "int2", "int4", "e8m0", "_batch", "random_old",
)  # fmt: skip
"""Parts of the names of cases that are refused: several results, training, rarer dtypes, and forms
that operator set 13 has no more. (The cases of Loop are of such forms, or of sequences.)"""
ROUNDED = ("averagepool_2d_ceil_last_window_starts_on_pad",)
"""Cases whose results are written with four digits."""


@pytest.fixture(scope="module")
def cases():
    """The cases by the operator they are for, in an operator set that is read."""
    import warnings

    from onnx.backend.test.case import node

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(node, "import_recursive", import_wanted)
        found = node.collect_testcases(None)
    by_operator = {}
    for case in found:
        if case.model is None or "_expanded" in case.name:
            continue
        for entry in case.model.opset_import:
            entry.version = min(max(entry.version, OPSETS[0]), OPSETS[-1])
        by_operator.setdefault(case.model.graph.node[-1].op_type, []).append(case)
    return by_operator


def import_wanted(package):
    """Import the modules of cases that some operator is for: the others take as long again."""
    known = " ".join(OPERATORS).lower()
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.replace("_", "").removesuffix("op") in known:
            importlib.import_module(f"{package.__name__}.{module.name}")


def as_array(x):
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(x) if isinstance(x, TensorProto) else np.asarray(x)


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - {"Loop"}))
def test_an_operator_gives_what_onnx_says(operator, cases, tmp_path):
    path, count = tmp_path / "case.onnx", 0
    for case in cases[operator]:
        path.write_bytes(case.model.SerializeToString())
        for inputs, expected in case.data_sets:
            try:
                with np.errstate(all="ignore"):
                    results = import_onnx(path)(*map(as_array, inputs))
            except (PullbackError, TypeError, ValueError):
                assert any(part in case.name.lower() for part in REFUSED), case.name
                continue
            results = results if isinstance(results, tuple) else (results,)
            for got, want in zip(results, map(as_array, expected), strict=False):
                assert (np.shape(got), np.asarray(got).dtype) == (want.shape, want.dtype)
                close = want.dtype == np.float16 or any(part in case.name for part in ROUNDED)
                tolerance = 1e-3 if close else 1e-5
                np.testing.assert_allclose(
                    got, want, rtol=tolerance, atol=tolerance, err_msg=case.name
                )
            count += 1
    assert count
