"""Import: the operators by family."""

from pullback.interchange.onnx.importing import (  # noqa: F401  each enters its operators
    control,
    elementwise,
    products,
    reductions,
    shapes,
)
