"""Seeing the gradient: where it goes wrong, and why."""

from pullback.explain.diagnose import Diagnosis, Finding, diagnose
from pullback.explain.undefined import undefined_points

__all__ = ["Diagnosis", "Finding", "diagnose", "undefined_points"]
