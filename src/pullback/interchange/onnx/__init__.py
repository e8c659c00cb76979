"""ONNX: models of pullback for other runtimes, and models of others for fine-tuning."""

from pullback.interchange.onnx.export import export_onnx

__all__ = ["export_onnx"]
