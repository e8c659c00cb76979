"""Whatever is derived is right: random programs, and every operation of the table."""

import numpy as np
import pytest
import scipy.special  # noqa: F401  its functions are operations too

import pullback as pb
from pullback.core import dispatch
from pullback.core.op import OPS

STEPS = {
    "product": lambda x, y: x @ y,
    "product with a transpose": lambda x, y: x @ y.T,
    "transpose times": lambda x, y: x.T @ y,
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - y,
    "times": lambda x, y: x * y,
    "quotient": lambda x, y: x / (2.0 + y * y),
    "outer": lambda x, y: np.outer(x, y) if x.ndim == y.ndim == 1 else x * 0.5,
    "column times": lambda x, y: x[:, None] * y,
    "tanh": lambda x, y: np.tanh(x),
    "sigmoid": lambda x, y: 1 / (1 + np.exp(-x)),
    "rectifier": lambda x, y: np.maximum(x, 0),
    "sum of columns": lambda x, y: np.sum(x, axis=0),
    "sum of rows": lambda x, y: np.sum(x, axis=-1, keepdims=True),
    "mean": lambda x, y: np.mean(x),
    "norm": lambda x, y: np.linalg.norm(x),
    "trace": lambda x, y: np.trace(x),
    "diagonal": lambda x, y: np.diag(x),
    "inverse": lambda x, y: np.linalg.inv(x @ x.T + np.eye(len(x))),
    "softmax": lambda x, y: pb.nn.softmax(x),
    "log-sum-exp": lambda x, y: np.log(np.sum(np.exp(x), axis=-1)),
}


def random_program(seed):
    """A function of four arrays that adds up what some steps make of each other's results."""

    def function(*args):
        rng = np.random.default_rng(seed)
        values = list(args)
        for _ in range(rng.integers(2, 8)):
            step = STEPS[rng.choice(list(STEPS))]
            x, y = (values[k] for k in rng.integers(len(values), size=2))
            try:
                z = step(x, y)
            except (ValueError, TypeError, IndexError):
                continue  # the shapes do not fit
            if z.ndim < 4 and z.size < 400:
                values.append(z)
        results = values[len(args) :]
        return sum((np.sum(z * (0.5 + k)) for k, z in enumerate(results)), 0.0 * np.sum(args[0]))

    rng = np.random.default_rng(seed + 1)
    lengths = [1, 2, 3] if seed % 5 == 0 else [2, 3, 4]
    return function, [rng.normal(size=rng.choice(lengths, n)) for n in rng.integers(0, 3, 4)]


@pytest.mark.parametrize("seed", range(40))
def test_every_line_of_a_random_program_is_right(seed):
    function, args = random_program(seed)
    derivation = pb.derive(function, *args)
    found = {line.name: line.value for line in derivation.lines if line.section == "gradients"}
    for value, gradient in zip(found.values(), pb.grad(function, (0, 1, 2, 3))(*args), strict=True):
        np.testing.assert_allclose(value, gradient, rtol=1e-6, atol=1e-9)
    assert all(draw() for draw in (derivation.__str__, derivation.latex, derivation.html))


def table():
    dispatch.load_deferred()
    return sorted(name for name, op in OPS.items() if op.vjp is not None)


def is_complex(graph):
    avals = [pb.tree.leaves(node.aval) for node in graph.nodes]
    return any(aval.dtype.kind == "c" for group in avals for aval in group)


@pytest.mark.parametrize("name", table())
def test_every_operation_can_be_derived_or_is_refused(name):
    op = OPS[name]
    for args, params in op.samples(np.random.default_rng(0)):
        real = [k for k, a in enumerate(args) if np.asarray(a).dtype.kind == "f"]
        if not real:
            continue

        def function(*values, op=op, args=args, params=params, real=real):
            given = dict(zip(real, values, strict=True))
            out = op(*[given.get(k, a) for k, a in enumerate(args)], **params)
            return out if not isinstance(out, tuple) else out[-1]

        values = [args[k] for k in real]
        if is_complex(pb.trace(function, *values)):
            with pytest.raises(pb.errors.DTypeError, match=r"complex|real"):
                pb.derive(function, *values)
        else:
            assert str(pb.derive(function, *values))
