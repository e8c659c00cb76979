"""Random programs of nested choices and loops: all derivatives are those of the Python loops."""

import numpy as np
import pytest

import pullback as pb


class Python:
    """The control flow of pullback, written with Python's."""

    @staticmethod
    def cond(pred, true_fun, false_fun):
        return true_fun() if pred else false_fun()

    @staticmethod
    def while_loop(cond_fun, body_fun, carry):
        while cond_fun(carry):
            carry = body_fun(carry)
        return carry

    @staticmethod
    def scan(f, carry, xs, reverse):
        ys = []
        for x in xs[::-1] if reverse else xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, np.stack(ys[::-1] if reverse else ys)


def program(seed, control):
    """A random function of two arrays; `control` runs its choices and loops."""
    rng = np.random.default_rng(seed)

    def expression(names, depth):
        first, second = (names[k] for k in rng.integers(len(names), size=2))
        kind = rng.integers(8 if depth else 4)
        if kind == 0:
            return lambda v: np.sin(v[first]) * v[second]
        if kind == 1:
            return lambda v: np.tanh(v[first] + 0.3 * v[second])
        if kind == 2:
            return lambda v: v[first] * 0.7 + np.cos(v[second])
        if kind == 3:
            return lambda v: v[first] / (1.5 + v[second] ** 2)
        if kind in (4, 5):
            return choice(names, depth, first)
        if kind == 6:
            return loop(names, depth, first, second)
        return repetition(names, depth, first)

    def choice(names, depth, decider):
        f, g = expression(names, depth - 1), expression(names, depth - 1)
        return lambda v: control.cond(np.sum(v[decider]) > 0.2, lambda: f(v), lambda: g(v))

    def loop(names, depth, start, rows):
        inner = [*names, f"carry{depth}", f"x{depth}"]
        f, g = expression(inner, depth - 1), expression(inner, depth - 1)
        length, reverse = int(rng.integers(1, 4)), bool(rng.integers(2))

        def run(v):
            def step(carry, x):
                seen = {**v, f"carry{depth}": carry, f"x{depth}": x}
                return np.tanh(f(seen)), g(seen)

            xs = np.stack([v[rows] * (k + 1.0) / 3 for k in range(length)])
            carry, ys = control.scan(step, v[start], xs, reverse=reverse)
            return carry + ys[0] * np.sum(ys, 0)

        return run

    def repetition(names, depth, start):
        f = expression([*names, f"carry{depth}"], depth - 1)

        def run(v):
            def goes_on(state):
                return (state[0] < 3) & (np.sum(state[1]) < 1.5)

            def body(state):
                return state[0] + 1, np.tanh(f({**v, f"carry{depth}": state[1]})) + 0.4

            return control.while_loop(goes_on, body, (0, v[start]))[1]

        return run

    f, g = expression(["p", "q"], 3), expression(["p", "q"], 3)
    return lambda p, q: np.sum(f({"p": p, "q": q}) * np.cos(g({"p": p, "q": q})))


def agree(found, expected):
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def check(seed):
    function, reference = program(seed, pb), program(seed, Python)
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(2, *[(), (2,)][seed % 2]))
    graph = pb.trace(function, p, q)
    many = np.stack([p, -p, q]), np.stack([q, p, p])

    def curvature(f):
        def along(p, q):
            return sum(np.sum(g) for g in pb.grad(f, (0, 1))(p, q))

        return pb.grad(along, (0, 1))

    def total(f):
        return lambda p: np.sum(pb.vmap(f)(p, many[1]))

    each = [pb.grad(reference)(*pair) for pair in zip(*many, strict=True)]
    for f in (function, graph, graph.__call__):
        agree(f(p, q), reference(p, q))
        agree(pb.grad(f, (0, 1))(p, q), pb.grad(reference, (0, 1))(p, q))
        agree(pb.hvp(f, (p, q), (q, p)), pb.hvp(reference, (p, q), (q, p)))
        agree(curvature(f)(p, q), curvature(reference)(p, q))
        agree(pb.vmap(pb.grad(f))(*many), np.stack(each))
        agree(pb.grad(total(f))(many[0]), np.stack(each))
    agree(pb.trace(pb.vmap(pb.grad(function)), *many)(*many), np.stack(each))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the branches a batch does not choose
@pytest.mark.parametrize("seed", range(8))
def test_random_programs_agree_with_python_loops(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(8, 80))
def test_more_random_programs_agree_with_python_loops(seed):
    check(seed)
