"""SciPy for traced code: the functions that SciPy writes in Python, which do not dispatch."""

from pullback.scipy import special

__all__ = ["special"]
