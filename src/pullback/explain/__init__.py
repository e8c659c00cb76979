"""Seeing the gradient: where it goes wrong, and why."""

from pullback.explain.diagnose import Diagnosis, Finding, diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
