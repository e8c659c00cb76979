"""Operations and their samples, for every test that goes through the whole table."""

import zlib

import numpy as np

import pullback.ops.scipy_linalg
import pullback.ops.scipy_signal
import pullback.ops.special
import pullback.ops.tridiagonal
import pullback.scipy.integrate  # noqa: F401  all enter functions of SciPy into the table
from pullback.core.op import OPS

CONTROL = {"repeat_step", "scan", "switch", "while_loop"}  # their bodies are graphs of one dtype
NAMES = sorted(set(OPS) - CONTROL - {"item"})  # item picks a result of another operation
DIFFERENTIABLE = [name for name in NAMES if OPS[name].vjp is not None]


def samples(name, dtype=np.float64):
    """The operation's own samples, cast, with generators that differ by name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for args, params in OPS[name].samples(rng):
        yield tuple(cast(a, dtype) for a in args), params


def cast(x, dtype):
    x = np.asarray(x)
    if x.dtype.kind == "f":
        return x.astype(dtype)[()]
    if x.dtype.kind == "c":
        return x.astype(np.result_type(dtype, np.complex64))[()]
    return x[()]


def moving(args):
    """The positions of arguments that have a derivative."""
    return [i for i, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]


def joined(out):
    """The results of an operation as one array: several are laid end to end."""
    return np.concatenate([np.ravel(o) for o in out]) if isinstance(out, tuple) else out


def closed(name, args, params):
    """The operation as a function of its floating arguments alone, and those arguments."""
    op, places = OPS[name], moving(args)

    def function(*floats):
        full = list(args)
        for i, x in zip(places, floats, strict=True):
            full[i] = x
        return joined(op(*full, **params))

    return function, tuple(args[i] for i in places)


def discrete(name):
    """Integer operations need integer samples, which their samples are made into."""
    return name in {
        "invert", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift",
        "bitwise_count", "gcd", "lcm",
    }  # fmt: skip
