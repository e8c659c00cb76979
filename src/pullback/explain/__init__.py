"""Seeing the gradient: where it goes wrong, and why."""

from pullback.explain.derivation import Derivation, derive
from pullback.explain.diagnose import Diagnosis, Finding, diagnose
from pullback.explain.undefined import undefined_points

__all__ = ["Derivation", "Diagnosis", "Finding", "derive", "diagnose", "undefined_points"]
