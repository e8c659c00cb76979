"""Export: the rules by family, and what applies them."""

from pullback.interchange.onnx.exporting import (  # noqa: F401  each enters its rules
    control,
    elementwise,
    products,
    reductions,
    shapes,
)
