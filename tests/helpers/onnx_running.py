"""Running ONNX models: by onnxruntime, or by onnx's reference where it has no kernel."""

import numpy as np

import pullback as pb
from pullback.interchange import export_onnx


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
