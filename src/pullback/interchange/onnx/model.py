"""ONNX models as modules of pullback, to call, to differentiate and to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.errors import DTypeError, ShapeError, UnsupportedError
from pullback.interchange.onnx import importing  # noqa: F401  enters the operators
from pullback.interchange.onnx.importing.operators import OPERATORS, SEVERAL
from pullback.interchange.onnx.reading import Body, Content, Declared, Instruction, read
from pullback.nn.module import Module, state, static


class OnnxModel(Module):
    """A model that was read from an ONNX file: `model(*inputs)` gives its result, or all of them.

    `parameters` are its floating weights by their names, `statistics` those of batch norm, which
    stay as they are. Inputs are in the order of the file; several results come as a tuple.
    Raises ShapeError or DTypeError where an input is not as declared.
    """

    parameters: Mapping[str, Any]
    statistics: Mapping[str, Any] = state()
    content: Content = static()

    def __call__(self, *inputs: Any) -> Any:
        """Return what the model computes from `inputs`."""
        arrays = [array_of(x) for x in inputs]
        _check(arrays, self.content.declared)
        known = {**self.parameters, **self.statistics}
        results = _run(self.content.body, known, arrays)
        return results[0] if len(results) == 1 else results

    def __repr__(self) -> str:
        names = ", ".join(d.name for d in self.content.declared)
        size = sum(np.size(x) for x in self.parameters.values())
        return f"OnnxModel({names}; {len(self.parameters)} parameters of {size} numbers)"


def import_onnx(path: str | Path) -> OnnxModel:
    """Return the ONNX model in the file at `path` as a module, which can be trained further.

    Operator sets 13 to 28 are read. The floating arrays stored in the file become parameters,
    except single numbers in files of other programs, and arrays that are not finite (masks): those
    are constants. Weights may also lie in plain files beside the model. Nothing in the file is run.
    Raises FormatError where the file is missing, truncated, foreign or not valid, or where weights
    lie elsewhere; UnsupportedError naming all operators that pullback does not know.

    >>> import tempfile, numpy as np, pullback as pb
    >>> from pullback.interchange import export_onnx
    >>> model = pb.nn.mlp(pb.random.key(0), [3, 8, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_onnx(model, np.ones((1, 3), np.float32), path=f"{folder}/model.onnx")
    ...     same = import_onnx(path)
    >>> same(np.ones((5, 3), np.float32)).shape, sorted(same.parameters)[:2]
    ((5, 2), ['layers.0.bias', 'layers.0.weight'])
    """
    content = read(Path(path))
    stored = content.body.arrays
    own = content.producer == "pullback"
    floats = {
        name
        for name, a in stored.items()
        if a.dtype.kind == "f" and np.isfinite(a).all() and (a.ndim or own)
    }
    constants = {name: stored[name] for name in stored.keys() - floats}
    return OnnxModel(
        {name: stored[name] for name in stored if name in floats - content.state},
        {name: stored[name] for name in stored if name in floats & content.state},
        replace(content, body=replace(content.body, arrays=constants)),
    )


def _check(arrays: Sequence[Any], declared: Sequence[Declared]) -> None:
    names = ", ".join(d.name for d in declared)
    if len(arrays) != len(declared):
        raise ShapeError(f"expected {len(declared)} inputs ({names}), got {len(arrays)}")
    for x, d in zip(arrays, declared, strict=True):
        if x.dtype != d.dtype:
            raise DTypeError(
                f"{d.name}: expected {d.dtype}, got {x.dtype}; write x.astype(np.{d.dtype.name})"
            )
        if d.shape is not None:
            open_shape = tuple("?" if n is None else n for n in d.shape)
            fits = len(x.shape) == len(d.shape) and all(
                n is None or n == m for n, m in zip(d.shape, x.shape, strict=True)
            )
            if not fits:
                raise ShapeError(f"{d.name}: expected shape {open_shape}, got {x.shape}")


def _run(body: Body, outer: Mapping[str, Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Compute the results of `body`, which also sees the values of `outer`."""
    known = {**outer, **body.arrays, **dict(zip(body.inputs, inputs, strict=True))}
    for instruction in body.instructions:
        results = _results(instruction, known)
        if len(results) < len(instruction.outputs):
            raise UnsupportedError(
                f"{instruction.operator}: gives {len(results)} results here, expected "
                f"{len(instruction.outputs)}: a loop that never runs stacks nothing"
            )
        known.update(zip(instruction.outputs, results, strict=False))
    return tuple(known[name] for name in body.outputs)


def _results(instruction: Instruction, known: Mapping[str, Any]) -> Sequence[Any]:
    operator = instruction.operator
    attributes = {
        name: (lambda *args, b=value: _run(b, known, args)) if isinstance(value, Body) else value
        for name, value in instruction.attributes.items()
    }
    if operator == "Constant":
        return [attributes["value"]]
    arguments = [known[name] if name else None for name in instruction.inputs]
    results = OPERATORS[operator](*arguments, **attributes)
    return results if operator in SEVERAL else [results]
