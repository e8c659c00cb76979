"""A diagnosis in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.explain.watch import arrays

if TYPE_CHECKING:
    from pullback.explain.diagnose import Diagnosis, Finding

_MEANING = {
    "forward": "first value that is not finite",
    "backward": "first gradient that is not finite",
    "zero": "the gradient ends here: the slope is 0",
    "constant": "the gradient ends here: the operation is piecewise constant",
    "masked": "not finite, but behind a mask, where the cotangent is 0: harmless",
    "cancelled": "infinite, but the cotangent is 0: taken as 0, which need not be the limit",
    "undefined": "the derivative is not unique here",
}


def state(gradient: Any) -> str:
    """Return "NaN", "infinite", "zero" or "finite", whichever comes first."""
    parts = arrays(gradient)
    if any(np.isnan(x).any() for x in parts):
        return "NaN"
    if any(np.isinf(x).any() for x in parts):
        return "infinite"
    return "finite" if any(x.any() for x in parts) or not sum(x.size for x in parts) else "zero"


def entry(value: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Return the entry of `value` that stands at `index` of an array of `shape`.

    Where the value has another shape that does not broadcast to it, return what it is in short.
    """
    parts = arrays(value)
    if not parts:
        return value if np.ndim(value) == 0 else f"array of shape {np.shape(value)}"
    x = parts[0]
    if x.size == 1:
        return x.item()
    try:
        return np.broadcast_to(x, shape)[index].item()
    except (ValueError, IndexError):
        return f"array of shape {x.shape}, {_extent(x)}"


def _extent(x: np.ndarray[Any, Any]) -> str:
    bad = int((~np.isfinite(x)).sum())
    if bad:
        return f"{bad} of {x.size} not finite"
    size = np.abs(x)
    return f"of size {size.min(initial=np.inf):.3g} to {size.max(initial=0):.3g}"


def described(diagnosis: Diagnosis) -> str:
    """Return the whole report."""
    lines = [f"diagnosis of {diagnosis.function}"]
    for name, argument in diagnosis.bad_arguments.items():
        lines.append(f"  {name} came with {_condition(argument)}")
    for name, gradient in diagnosis.gradients.items():
        lines.append(f"  gradient of {name}: {_condition(gradient)}")
    if not diagnosis.findings:
        unused = [name for name, g in diagnosis.gradients.items() if state(g) == "zero"]
        dependence = f"the result does not depend on {', '.join(unused)}, or takes it as constant"
        lines.append(f"  {dependence}" if unused else "  nothing to remark")
    for finding in diagnosis.findings:
        lines += ["", *_told(finding)]
    return "\n".join(lines)


def _condition(value: Any) -> str:
    kind, x = state(value), arrays(value)[0]
    if kind in ("zero", "finite"):
        return "zero throughout" if kind == "zero" else f"finite, {_extent(x)}"
    bad = np.isnan(x) if kind == "NaN" else np.isinf(x)
    places = ", ".join(str(list(map(int, i))) for i in np.argwhere(bad)[:3]) if x.ndim else ""
    at = f", at {places}" + (", ..." if bad.sum() > 3 else "") if places else ""
    return f"{int(bad.sum())} of {x.size} entries {kind}{at}"


def _told(finding: Finding) -> list[str]:
    where = f" at {list(finding.index)}" if finding.index else ""
    lines = [f"{finding.op}{where}: {_MEANING[finding.kind]}", f"  {finding.place}"]
    if finding.place.code:
        lines.append(f"    {finding.place.code}")
    lines.append("  " + ", ".join(f"{k} {_number(v)}" for k, v in finding.values.items()))
    if finding.convention:
        lines.append(f"  derivative at {finding.convention}")
    return lines


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
