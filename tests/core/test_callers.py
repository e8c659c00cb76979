"""A number taken in passing is an error, a number taken on purpose is a constant."""

import math
import operator

import numpy as np
import pytest
from scipy import integrate, special, stats

import pullback as pb
from pullback.core.errors import TracerError

norm_pdf = stats.norm.pdf


@pytest.mark.parametrize(
    "function",
    [
        lambda x: math.sin(x) * x,
        lambda x: np.exp(math.sin(x) + 1),
        lambda x: math.atan2(*(x, x)),
        lambda x: sum([math.fabs(v) for v in [x]]),
        lambda x: sum(map(math.sin, [x])),
        lambda x: integrate.quad(lambda t: t * x, 0, 1)[0],
    ],
    ids=["math", "nested", "unpacked", "comprehension", "mapped", "quad"],
)
def test_functions_that_would_lose_the_gradient_are_named(function):
    with pytest.raises(TracerError, match=r"\(\) asked a traced value .* pb.custom_root"):
        pb.grad(function)(1.0)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("array", lambda x: np.array([x, 1.0])),
        ("vectorize", lambda x: np.vectorize(abs)(x)),
        ("logsumexp", lambda x: special.logsumexp(x)),
        ("norm_pdf", lambda x: norm_pdf(x)),
    ],
)
def test_what_asked_for_an_array_is_named(name, function):
    with pytest.raises(TracerError, match=f"^{name}: a traced array .* np.stack"):
        pb.grad(function)(1.0)


@pytest.mark.parametrize(
    "assign", [operator.setitem, lambda b, i, v: b.__setitem__(i, v), lambda b, i, v: b.fill(v)]
)
def test_assignment_to_a_plain_array_by_a_call_is_an_error(assign):
    def function(x):
        buffer = np.zeros(2)
        assign(buffer, 0, x)
        return buffer.sum()

    with pytest.raises((TracerError, ValueError)) as error:
        pb.grad(function)(1.0)
    assert isinstance(error.value, TracerError) or isinstance(error.value.__cause__, TracerError)


@pytest.mark.parametrize(
    "take",
    [lambda x: float(x), lambda x: complex(x).real, lambda x: x.item(), lambda x: x.tolist()],
)
def test_a_number_that_is_asked_for_is_a_constant(take):
    def function(x):
        return take(x) * x

    assert pb.grad(function)(3.0) == 3.0


def test_questions_about_a_number_and_whole_parts_are_constants():
    assert pb.grad(lambda x: x if math.isfinite(x) else -x)(2.0) == 1.0
    assert pb.grad(lambda x: math.floor(x) * x)(2.5) == 2.0
    assert pb.grad(lambda x: (f"{x:.2f}", x * x)[-1])(2.0) == 4.0
