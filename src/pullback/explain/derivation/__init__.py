"""Derivations in matrix form: the steps of a gradient as a textbook writes them."""

from pullback.explain.derivation.derivation import Derivation, Given, Line
from pullback.explain.derivation.derive import derive

__all__ = ["Derivation", "Given", "Line", "derive"]
