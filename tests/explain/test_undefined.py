"""Every operation states where its derivative is not unique or not finite, and what is taken."""

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from op_samples import DIFFERENTIABLE, samples

from pullback.core.errors import NotDifferentiableError
from pullback.core.op import OPS
from pullback.core.tape import TapeNode
from pullback.explain.probing import has_undefined_entries

ROOT = Path(__file__).parents[2]
MAKE_PAGE = "from pullback.explain.undefined import page; print(page(), end='')"
POINTS = (0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, -0.0, np.inf, -np.inf)


def probes(name):
    """Arguments of an operation where derivatives like to fail: zeros, ones, ties, infinities."""
    op = OPS[name]
    args, params = next(iter(samples(name)))
    if op.kind == "elementwise":
        for point in itertools.product(POINTS, repeat=len(args)):
            yield tuple(map(np.float64, point)), params
        return
    for args, params in samples(name):
        for fill in (np.zeros, np.ones, lambda shape: np.broadcast_to(np.eye(*shape[-2:]), shape)):
            yield tuple(filled(a, fill) for a in args), params


def filled(a, fill):
    x = np.asarray(a)
    if x.dtype.kind not in "fc":
        return a
    try:
        return np.asarray(fill(x.shape), x.dtype)
    except (TypeError, ValueError):  # no matrix
        return np.zeros_like(x)


def counts(name, args, params, out):
    """Whether the point belongs to the function's domain: its value there is a number."""
    values = out if isinstance(out, tuple) else (out,)
    if any(np.isnan(x).any() for x in map(np.asarray, values) if x.dtype.kind in "fc"):
        return False
    infinite_in = any(np.isinf(a).any() for a in args if np.asarray(a).dtype.kind in "fc")
    infinite_out = any(np.isinf(x).any() for x in map(np.asarray, values) if x.dtype.kind in "fc")
    return not (infinite_in and infinite_out)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_a_derivative_that_is_not_unique_or_not_finite_is_stated(name):
    op = OPS[name]
    if op.undefined_at or op.kind in ("linear", "bilinear"):
        return
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for args, params in probes(name):
            out = op.forward(*args, **params)
            if not counts(name, args, params, out):
                continue
            node = TapeNode(op, args, params, out, ())
            for i, a in enumerate(args):
                if np.asarray(a).dtype.kind in "fc":
                    assert not undefined(node, i), (name, args, params, i)


def undefined(node, position):
    try:
        return has_undefined_entries(node, position)
    except NotDifferentiableError:  # no derivative in this argument, which is an error to ask for
        return False


def test_the_page_of_undefined_points_is_up_to_date():
    made = subprocess.run(
        [sys.executable, "-c", MAKE_PAGE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    page = (ROOT / "docs" / "undefined.md").read_text()
    assert page == made.stdout, f"run python -c {MAKE_PAGE!r} > docs/undefined.md"
