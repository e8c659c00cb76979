"""The table of points where a derivative is not unique or not finite, and what is taken there."""

from __future__ import annotations

import importlib
import pkgutil

from pullback import ops
from pullback.core.op import OPS

_PAGE = """# Where derivatives are not unique

Every operation states where its derivative is not unique, infinite or undefined, and what pullback
takes there. `pb.diagnose` tells which of these points a function was run at: see
[diagnose](diagnose.md).

```python
import pullback as pb

print(pb.explain.undefined_points()["sqrt"])
```

This page is made by `pullback.explain.undefined.page()`; a test compares it with the operations,
and another one looks for points that are not stated.

## Three rules

1. **A cotangent of 0 annihilates.** What a mask leaves out counts for nothing, also where its slope
   is infinite or NaN: the gradient of `np.where(x < 1, x, np.sqrt(x - 1))` is right everywhere, to
   any order, without a second `np.where` inside. So it is with a tangent of 0 in forward mode, with
   an index that leaves elements out, and with the argument that `np.maximum` does not choose.
2. **An infinite cotangent does not annihilate.** `np.sqrt(x**2)` at 0 is infinity times zero, whose
   limit is open: the gradient is NaN, and `pb.diagnose` names the line. Functions that know their
   limit take it: `np.linalg.norm`, `np.abs`, `np.hypot` and `np.std` have gradient 0, the
   subgradient of least norm.
3. **A zero that is no mask annihilates, too**, for an operation cannot tell where it comes from.
   That is right where a function saturates: `1 / (1 + np.exp(-x))` at -1000 has gradient 0. It is a
   convention where a root is undone: `np.sqrt(x) ** 2` at 0 has gradient 0, and 1 from the right.

Sums of products (`@`, `np.einsum`, convolutions) are not looked into: NaN in the data reaches the
gradient of the other factor through them, even if its rows are masked later. Replace it before,
with `np.nan_to_num`.

## The operations

| operation | points and what is taken |
|---|---|
{rows}
"""


def undefined_points() -> dict[str, str]:
    """Return, by the name of the operation, where its derivative is not unique or not finite.

    >>> from pullback.explain import undefined_points
    >>> undefined_points()["absolute"]
    'x = 0: 0, the subgradient of least norm'
    """
    for module in pkgutil.iter_modules(ops.__path__, "pullback.ops."):
        importlib.import_module(module.name)
    return {name: op.undefined_at for name, op in sorted(OPS.items()) if op.undefined_at}


def page() -> str:
    """Return the page of the documentation that lists them all."""
    rows = [f"| `{name}` | {_cell(points)} |" for name, points in undefined_points().items()]
    return _PAGE.format(rows="\n".join(rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
