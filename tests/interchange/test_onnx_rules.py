"""Every rule of the exporter, on the operation's own samples: what onnxruntime computes."""

import numpy as np
import pytest
from onnx_running import agrees, run
from op_samples import NAMES, discrete, samples

import pullback as pb
from pullback.core.op import OPS
from pullback.interchange import export_onnx
from pullback.interchange.onnx.export import OPSETS
from pullback.interchange.onnx.exporting.rules import RULES

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")

NO_REFERENCE = {"conv_input"}  # of float64: onnx's own has no groups, onnxruntime no kernel
CONTROL = {"scan", "switch", "while_loop", "item"}


def real_samples(name, dtype):
    """The samples that are not complex, as arrays."""
    for args, params in samples(name, dtype):
        arrays = [np.asarray(a) for a in args]
        if discrete(name):
            arrays = [np.asarray(np.abs(a), np.int64) for a in arrays]
        kinds = [a.dtype.kind for a in arrays] + [np.dtype(params.get("dtype", "f4")).kind]
        if "c" not in kinds:
            yield arrays, params


@pytest.mark.parametrize(
    ("dtype", "opset"),
    [(np.float32, OPSETS[0]), (np.float32, OPSETS[-1]), (np.float64, OPSETS[0])],
)
@pytest.mark.parametrize("name", sorted(set(RULES) - CONTROL))
def test_what_is_exported_computes_the_same(name, dtype, opset, tmp_path):
    assert name in NAMES
    if dtype == np.float64 and name in NO_REFERENCE:
        pytest.skip("nothing here runs a grouped ConvTranspose of float64")
    cases = list(real_samples(name, dtype))
    op = OPS[name]

    def every(*given):
        return [op(*arrays, **params) for arrays, (_, params) in zip(given, cases, strict=True)]

    given = [arrays for arrays, _ in cases]
    path = tmp_path / "rule.onnx"
    export_onnx(every, *given, path=path, dynamic_batch=False, opset=opset)
    assert agrees(run(path, *pb.tree.leaves(given)), every(*given))


@pytest.mark.parametrize(
    "name",
    ["add", "subtract", "multiply", "floor_divide", "remainder", "maximum", "less", "equal",
     "absolute", "negative", "sign", "sum", "max", "prod", "cumsum", "argmax", "argsort", "power"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_are_computed_as_numpy_does(name, dtype, tmp_path):
    a, b = np.array([[7, -7, 3], [-4, 5, 0]], dtype), np.array([[2, 2, -2], [3, 5, 4]], dtype)
    b = np.abs(b) if name == "power" else b
    op, options = OPS[name], {}
    if name in ("sum", "max", "prod"):
        options = {"axis": (1,), "keepdims": False}
    elif name in ("cumsum", "argmax", "argsort"):
        extra = {"cumsum": {}, "argmax": {"keepdims": True}, "argsort": {"kind": "stable"}}[name]
        options = {"axis": 1, **extra}
    count = 2 if name not in ("absolute", "negative", "sign") and not options else 1
    arrays = [a, b][:count]
    path = export_onnx(lambda *xs: op(*xs, **options), *arrays, path=tmp_path / "integers.onnx")
    assert agrees(run(path, *arrays), op(*arrays, **options))


@pytest.mark.parametrize("name", ["logical_and", "bitwise_and", "bitwise_xor", "add", "equal"])
def test_booleans_are_computed_as_numpy_does(name, tmp_path):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    path = export_onnx(OPS[name], a, b, path=tmp_path / "booleans.onnx")
    assert agrees(run(path, a, b), OPS[name](a, b))


def test_mixed_dtypes_are_promoted_as_numpy_does(tmp_path):
    a, b = np.array([1, 2, 3]), np.float32([0.5, 1.5, 2.5])

    def mixed(a, b):
        whole, least = a / 2, np.minimum(a, b)
        return whole, a + b, least, np.where(a > b, a, b), np.concatenate([a, b]), b * 2, a**2

    path = export_onnx(mixed, a, b, path=tmp_path / "mixed.onnx", dynamic_batch=False)
    assert agrees(run(path, a, b), mixed(a, b))


@pytest.mark.parametrize(
    "name",
    ["arctan2", "copysign", "floor_divide", "fmod", "heaviside", "hypot", "logaddexp", "rel_entr",
     "xlogy"],
)  # fmt: skip
def test_edges_are_those_of_numpy(name, tmp_path):
    dtype = np.float32 if name == "arctan2" else np.float64  # onnxruntime has no Atan of float64
    edges = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    a, b = (x.ravel() for x in np.meshgrid(edges, edges))
    if name == "hypot":  # of infinity and NaN, which C takes for infinity
        a, b = (x[~np.isnan(a) & ~np.isnan(b)] for x in (a, b))
    if name == "fmod":  # which onnxruntime leaves to the processor
        a, b = (x[np.isfinite(a) & np.isfinite(b) & (b != 0)] for x in (a, b))
    path = export_onnx(OPS[name], a, b, path=tmp_path / "edges.onnx")
    with np.errstate(all="ignore"):
        assert agrees(run(path, a, b), OPS[name](a, b))


@pytest.mark.parametrize("name", ["exp2", "exp10", "hypot", "ldexp", "log_expit"])
def test_small_and_large_results_keep_their_digits(name, tmp_path):
    x = np.linspace(-30, 30, 61, dtype=np.float32)
    second = {"ldexp": [np.arange(-30, 31, dtype=np.int32)], "hypot": [x[::-1] * 2]}
    arrays = [x * np.float32(1e30) if name == "hypot" else x, *second.get(name, [])]
    path = export_onnx(OPS[name], *arrays, path=tmp_path / "digits.onnx")
    np.testing.assert_allclose(run(path, *arrays)[0], OPS[name](*arrays), rtol=1e-6)
