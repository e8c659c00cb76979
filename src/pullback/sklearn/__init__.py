"""Floor 6, scikit-learn estimators whose training runs as machine code."""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        'pullback.sklearn: scikit-learn is not installed: pip install "pullback[app]"'
    ) from None

from pullback.sklearn.mlp import MLPClassifier, MLPRegressor
from pullback.sklearn.neural import NeuralClassifier, NeuralRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NeuralClassifier", "NeuralRegressor"]
