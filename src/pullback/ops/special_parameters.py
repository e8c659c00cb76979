"""What special functions with a parameter share: orders of Bessel functions, shapes, degrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import aval_of
from pullback.core.errors import NotDifferentiableError
from pullback.core.op import Samples
from pullback.ops.families import Derivative, Interval


def constant(function: str, parameter: str, position: int = 0) -> Derivative:
    """Return the derivative in a parameter that has none here: it raises, but for whole numbers."""

    def refuse(out: Any, *args: Any) -> int:
        if aval_of(args[position]).dtype.kind in "iub":
            return 0
        raise NotDifferentiableError(
            f"scipy.special.{function} has no elementary derivative in {parameter!r}, and none is "
            f"given here: expected a constant, got a traced {parameter!r}. Pass a plain array, or "
            f"pb.stop_gradient({parameter}) to declare it constant."
        )

    return refuse


def whole_then(whole: int, low: int, high: int, domain: Interval) -> Samples:
    """Samples of a function of `whole` whole numbers in [low, high] and one real number."""

    def samples(rng: np.random.Generator) -> Any:
        def draw(parameters: Any, x: Any) -> Any:
            orders = [np.asarray(rng.integers(low, high + 1, parameters)) for _ in range(whole)]
            return ((*orders, rng.uniform(*domain, x)), {})

        return [draw(*shapes) for shapes in [((3, 4),) * 2, ((), ()), ((0, 2),) * 2, ((3, 1), 4)]]

    return samples
