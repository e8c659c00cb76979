"""Running ONNX models: by onnxruntime, or by onnx's reference where it has no kernel."""

import numpy as np

import pullback as pb
from pullback.interchange import export_onnx

RNG = np.random.default_rng(0)


def floats(*shape):
    """Example inputs."""
    return RNG.normal(size=shape).astype(np.float32)


def session(path):
    """The model in onnxruntime, which is silent."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, *arrays):
    """The results of the model at `path`."""
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

    try:
        runner = session(path)
        names = [i.name for i in runner.get_inputs()]
    except NoKernel:  # of float64, for Conv, Erf and a few more
        from onnx.reference import ReferenceEvaluator

        runner = ReferenceEvaluator(str(path))
        names = runner.input_names
    return runner.run(None, dict(zip(names, arrays, strict=True)))


def agrees(results, expected):
    """Whether results are equal to 1e-5 of what was expected, in shape and dtype exactly."""
    for got, want in zip(results, pb.tree.leaves(expected), strict=True):
        assert (got.shape, got.dtype) == (np.shape(want), np.asarray(want).dtype)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    return True


def exported_agrees(function, example, *others, path, **options):
    """Whether the export of `function` gives what it gives, for the example and other batches."""
    export_onnx(function, *example, path=path, **options)
    return all(agrees(run(path, *args), function(*args)) for args in (example, *others))


def write(nodes, path, inputs, stored=None, opset=18, ndim=2, dtype=np.float32, domains=()):
    """Write a model of `nodes` with one output, y; `inputs` are example arrays by name."""
    from onnx import helper, numpy_helper

    def declared(name, dtype, ndim):
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, [None] * ndim)

    graph = helper.make_graph(
        nodes,
        "graph",
        [declared(name, x.dtype, x.ndim) for name, x in inputs.items()],
        [declared("y", dtype, ndim)],
        [numpy_helper.from_array(x, name) for name, x in (stored or {}).items()],
    )
    versions = [helper.make_opsetid("", opset), *domains]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
