"""An operation on a vector does in every lane what it does on one number."""

import ctypes

import numpy as np
import pytest

from pullback.native.code import Code, Module, memory_type, vector_type
from pullback.native.engine import Compilation, Loaded
from pullback.native.functions import define_used
from pullback.native.scalar import COMPARISONS, SCALARS, takes

LANES = 8
BINARY = {
    "arctan2", "hypot", "fmod", "power", "logaddexp", "xlogy", "xlog1py", "chain_product",
    "copysign", "add", "subtract", "multiply", "divide", "maximum", "minimum", "fmax", "fmin",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and",
    "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift",
    "right_shift",
}  # fmt: skip
ARGUMENTS = {"where": 3} | dict.fromkeys(BINARY, 2)
DTYPES = [np.dtype(t) for t in ("f4", "f8", "i4", "u8", "?")]


def write(module: Module, operation: str, dtype: np.dtype, lanes: int) -> None:
    """Write a function of an operation on arrays of `LANES` numbers, `lanes` of them at a time."""
    count = ARGUMENTS.get(operation, 1)
    pointers = [f"%p{k}" for k in range(count)]
    head = ", ".join(f"ptr {p}" for p in ["%out", *pointers])
    code = Code(module, f"{operation}_by{lanes}", head, lanes=lanes)
    out = np.dtype(bool) if operation in COMPARISONS else dtype
    with code.loop(LANES // lanes) as start:
        values = []
        for k, pointer in enumerate(pointers):
            kind = np.dtype(bool) if operation == "where" and k == 0 else dtype
            at = code.element(kind, pointer, start)
            t = vector_type(memory_type(kind), lanes)
            value = code.let(f"load {t}, ptr {at}, align 1")
            if kind.kind == "b":
                value = code.let(f"trunc {t} {value} to {code.type(kind)}")
            values.append(value)
        result = SCALARS[operation](code, dtype, values)
        t = vector_type(memory_type(out), lanes)
        if out.kind == "b":
            result = code.let(f"zext {code.type(out)} {result} to {t}")
        code.line(f"store {t} {result}, ptr {code.element(out, '%out', start)}, align 1")
    code.finish()


def operations(dtype: np.dtype) -> list[str]:
    """Return the operations that NumPy has on this dtype."""
    fits = {"divide": "f", "left_shift": "iu", "right_shift": "iu"}
    fits |= {"bfloat16_round": "", "bfloat16_pair": ""}  # test_rounding looks at these
    return [f for f in sorted(SCALARS) if takes(f, dtype) and dtype.kind in fits.get(f, "biuf")]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_operation_does_the_same_in_every_lane(dtype):
    module = Module()
    for operation in operations(dtype):
        write(module, operation, dtype, 1)
        write(module, operation, dtype, LANES)
    define_used(module)
    attributes = "attributes #0 = { nounwind }\nattributes #1 = { nounwind }"
    module.declarations["attributes"] = attributes
    code = Loaded(Compilation(str(module)).object_file())
    rng = np.random.default_rng(0)
    numbers = [rng.integers(-6, 6, LANES) / 2 for _ in range(3)]
    given = [(np.abs(x) if dtype.kind == "u" else x).astype(dtype) for x in numbers]
    for operation in operations(dtype):
        args = given[: ARGUMENTS.get(operation, 1)]
        if operation == "where":
            args = [given[0] > 0, *given[1:]]
        out = np.zeros((2, LANES), bool if operation in COMPARISONS else dtype)
        for row, lanes in zip(out, (1, LANES), strict=True):
            function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (1 + len(args)))
            address = code.address(f"{operation}_by{lanes}")
            function(address)(row.ctypes.data, *[a.ctypes.data for a in args])
        np.testing.assert_array_equal(out[0], out[1], err_msg=operation)
