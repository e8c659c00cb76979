"""ONNX: models of pullback for other runtimes, and models of others for fine-tuning."""

from pullback.interchange.onnx.export import export_onnx
from pullback.interchange.onnx.model import OnnxModel, import_onnx

__all__ = ["OnnxModel", "export_onnx", "import_onnx"]
