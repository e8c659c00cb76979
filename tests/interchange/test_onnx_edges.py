"""Edges of operators that the cases of ONNX leave out, against onnxruntime; compiled, too."""

import numpy as np
import pytest
from onnx_running import run, write

import pullback as pb
from pullback.interchange import import_onnx

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")

LARGE = (np.linspace(-3, 3, 16).reshape(2, 8) * 3000).astype(np.float16)
"""Numbers whose squares float16 cannot hold."""
HALF, ONES, ZEROS = np.float16, np.ones(8, np.float16), np.zeros(8, np.float16)
SPREAD = np.float32([1, 1e30, 2, np.inf, 3])
SIGNED = np.float32([[0.5, -2, 3], [-0.25, 1, -1]])


def axis(*places):
    return np.array(places, np.int64)


def slices(start, end, step):
    named = {"start": axis(start), "end": axis(end), "axis": axis(0), "step": axis(step)}
    return ("Slice", {"x": np.arange(10, dtype=np.float32)}, named, {})


CASES = {
    "cumulative sums leave their own element out": (
        "CumSum", {"x": SPREAD}, {"a": np.int64(0)}, {"exclusive": 1},
    ),
    "the same from the end": (
        "CumSum", {"x": SPREAD}, {"a": np.int64(0)}, {"exclusive": 1, "reverse": 1},
    ),
    "nothing is flattened": ("Flatten", {"x": np.zeros((0, 3, 4), np.float32)}, {}, {}),
    "the last axis is flattened": (
        "Flatten", {"x": np.zeros((2, 3, 4), np.float32)}, {}, {"axis": 3},
    ),
    "a shape of integers is shrunk": ("Shrink", {"x": np.int32([-3, 0, 2])}, {}, {"lambd": 1.5}),
    "layer norm": ("LayerNormalization", {"x": LARGE}, {"s": ONES, "b": ZEROS}, {}),
    "RMS norm": ("RMSNormalization", {"x": LARGE}, {"s": ONES}, {}),
    "instance norm": (
        "InstanceNormalization", {"x": np.stack([LARGE.T] * 2)}, {"s": ONES, "b": ZEROS}, {},
    ),
    "group norm": (
        "GroupNormalization", {"x": LARGE[..., None]}, {"s": ONES, "b": ZEROS}, {"num_groups": 2},
    ),
    "a norm of float16": ("ReduceL2", {"x": LARGE / 8}, {}, {}),
    **{
        f"{name} over no axes": (name, {"x": SIGNED}, {}, {"noop_with_empty_axes": 1})
        for name in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare", "ReduceSum")
    },
    **{
        f"a slice from {start} to {end} by {step}": slices(start, end, step)
        for start in (-100, -10, -3, 0, 4, 100)
        for end in (-(2**63), -11, -10, 0, 5, 10)
        for step in (-3, -1, 2)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_edges_are_those_of_onnxruntime(name, tmp_path):
    from onnx import helper

    operator, inputs, stored, attributes = CASES[name]
    node = helper.make_node(operator, [*inputs, *stored], ["y"], **attributes)
    (x,) = inputs.values()
    ndim = 2 if operator == "Flatten" else x.ndim
    path = write([node], tmp_path / "edge.onnx", inputs, stored, 23, ndim, x.dtype)
    (expected,), model = run(path, x), import_onnx(path)
    tolerance = 2e-3 if x.dtype == HALF else 1e-6
    with np.errstate(all="ignore"):
        for got in (model(x), pb.compile(model)(x)):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
