"""Functions that take practically for ever, given n = FOR_EVER, and no time for a small n."""

import numpy as np

import pullback as pb

FOR_EVER = np.int64(10**17)
RNG = np.random.default_rng(0)
SMALL, LARGE = RNG.normal(size=(40, 40)), RNG.uniform(size=(400, 400))


def turns(x, n):
    """A loop with a condition."""
    return pb.while_loop(
        lambda c: c[0] < n, lambda c: (c[0] + 1, np.tanh(c[1] @ c[1])), (np.int64(0), x)
    )[1]


def inner(x, n):
    """A loop in a short scan."""
    return pb.scan(lambda c, _: (turns(c, n), np.sum(c)), x, None, length=3)


def chosen(x, n):
    """A loop in a choice, and one after it."""
    return turns(pb.cond(n > 3, lambda x: turns(x, n), np.exp, x), n)


def outer(x, n):
    """A loop around a scan, and libraries."""

    def step(c):
        k, x = c
        x = pb.scan(lambda x, k: (np.tanh(x @ x) + k, None), x, np.arange(9.0))[0]
        return k + 1, np.linalg.inv(np.fft.fft(x).real / 40 + 9 * np.eye(40))

    return pb.while_loop(lambda c: c[0] < n, step, (np.int64(0), x))


def strips(x, n):
    """Strips of a large array, each of which goes through a scan, in a loop."""

    def step(c):
        k, y = c
        return k + 1, pb.scan(lambda y, k: (y * x + k, None), y, np.arange(300.0))[0]

    return pb.while_loop(lambda c: c[0] < n, step, (np.int64(0), x))


FUNCTIONS = {f.__name__: f for f in (turns, inner, chosen, outer, strips)}


def argument(name):
    """The array that a function is given."""
    return LARGE if name == "strips" else SMALL


def scanned(x):
    """A scan that never ends."""
    return pb.scan(lambda c, _: (np.tanh(c @ c), None), x, None, length=int(FOR_EVER))[0]


def scanned_in_strips(x):
    """One whose elements do not need each other."""
    return pb.scan(lambda c, _: (c * x + 1, None), x, None, length=int(FOR_EVER))[0]


def count_to(n):
    """The sum of the numbers below n."""
    return pb.while_loop(
        lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + c[0]), (np.int64(0), np.int64(0))
    )[1]


def grown(x, n):
    """Every element, n times 1 more."""
    return pb.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + 1), (np.int64(0), x))[1]
