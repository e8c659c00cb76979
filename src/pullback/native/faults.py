"""What can go wrong while machine code runs: bits of a number that it leaves behind."""

from __future__ import annotations

import numpy as np

INDEX, SINGULAR, NOT_DEFINITE, EIGENVALUES, SVD, INTERRUPTED = (1 << k for k in range(6))
"""Where code was INTERRUPTED, Python holds the exception already."""
_LINALG = {
    SINGULAR: "Singular matrix",
    NOT_DEFINITE: "Matrix is not positive definite",
    EIGENVALUES: "Eigenvalues did not converge",
    SVD: "SVD did not converge",
}


def error_of(flags: int, name: str) -> Exception:
    """Return the error that the interpreter raises; `name` is that of the function."""
    if flags & INDEX:
        return IndexError(
            f"{name}: an index is out of range; run the function without pb.compile to see where"
        )
    return np.linalg.LinAlgError(next(text for bit, text in _LINALG.items() if flags & bit))
