from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from pullback import nn, random
from pullback.core.errors import ConfigError

FAN_IN, FAN_OUT = 300, 200
VARIANCE = {
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "normal": 0.01**2,
    "uniform": 0.05**2 / 3,
    "zeros": 0.0,
}


@pytest.mark.parametrize("name", nn.INITIALISERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_and_variance_are_those_of_the_paper(name: str, dtype: type) -> None:
    shape = (FAN_IN, FAN_OUT)
    weight = nn.INITIALISERS[name](random.key(1), shape, FAN_IN, FAN_OUT, dtype)
    assert (weight.shape, weight.dtype) == (shape, np.dtype(dtype))
    assert weight.var() == pytest.approx(VARIANCE[name], rel=0.03)
    assert abs(weight.mean()) <= 4 * math.sqrt(VARIANCE[name] / weight.size)
    if name.endswith("uniform"):
        limit = math.sqrt(3 * VARIANCE[name])
        assert 0.99 * limit < abs(weight).max() <= limit * (1 + 1e-6)


def test_the_key_alone_decides() -> None:
    draw = partial(nn.init.normal, std=2.0, shape=(3,), fan_in=1, fan_out=1)
    np.testing.assert_array_equal(draw(random.key(5)), draw(random.key(5)))
    assert not np.array_equal(draw(random.key(5)), draw(random.key(6)))


def test_fans_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="fan_in"):
        nn.init.he_normal(random.key(0), (0, 3), 0, 3)
