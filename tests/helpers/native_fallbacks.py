"""What compiled functions leave to the interpreter; run as a script, it prints the list.

PYTHONPATH=src:tests/helpers python tests/helpers/native_fallbacks.py
"""

import warnings

import numpy as np
from op_samples import NAMES, discrete, samples

import pullback as pb
from pullback.core.op import OPS
from pullback.native.lower import lower


def fallbacks(dtype):
    """The operations that some sample in `dtype` is run by the interpreter for."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name for name in NAMES if falls_back(name, np.dtype(dtype))}


def falls_back(name, dtype):
    return any(
        node.op.name == name
        for args, params in samples(name)
        for graph in traced(name, [converted(a, name, dtype) for a in args], params)
        for node in lower(graph).fallbacks
    )


def converted(x, name, dtype):
    """A sample in `dtype`; what counts or chooses stays as it is."""
    x = np.asarray(x)
    if discrete(name):
        return np.abs(x).astype(int)
    fits = x.dtype.kind == "f" or (x.dtype.kind == "c" and dtype.kind == "c")
    return x.astype(dtype) if fits else x


def traced(name, args, params):
    """The graph of one operation, if it takes these arguments."""
    moving = [i for i, a in enumerate(args) if a.dtype.kind != "b" or name == "where"]

    def f(*given):
        full = list(args)
        for i, x in zip(moving, given, strict=True):
            full[i] = x
        return OPS[name](*full, **params)

    try:
        return [pb.trace(f, *[args[i] for i in moving])]
    except (TypeError, ValueError):
        return []


if __name__ == "__main__":
    for kind in ("f8", "f4", "i8", "?", "c16", "f2"):
        print(f"{kind}:", *sorted(fallbacks(kind)))
