"""Tensors: arrays that remember, for those who think in `.backward()` and `.grad`."""

from __future__ import annotations

import weakref
from pickle import PicklingError
from typing import Any

import numpy as np

from pullback.core.aval import is_differentiable
from pullback.core.errors import DTypeError, NotDifferentiableError, ShapeError
from pullback.core.tape import Tape, TapeNode, TapeTracer, backward, inputs_of
from pullback.core.tracer import Tracer


class Tensor(TapeTracer):
    """An array whose computations are recorded, so that `backward()` fills `grad` of its inputs.

    `data` is an array or nested lists, of floating or complex dtype where `requires_grad` is true.
    NumPy's functions and operators work on tensors; `backward()` adds to `grad` of every tensor
    made by the user that the result depends on. `data` may be changed in place between steps.
    Raises DTypeError for integer data with `requires_grad`.

    >>> import numpy as np, pullback as pb
    >>> w = pb.Tensor([1.0, 2.0])
    >>> loss = np.sum(w**2)
    >>> loss.backward()
    >>> w.grad
    array([2., 4.])
    >>> w.data -= 0.1 * w.grad
    >>> w.zero_grad()
    """

    __slots__ = ("_leaf", "grad")

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, Tracer):
            raise NotDifferentiableError(
                "Tensor(data): expected numbers, got a traced array; use it as it is, "
                "or take x.detach() for its numbers"
            )
        value = np.array(data)
        node = None
        if requires_grad:
            if not is_differentiable(value.dtype):
                raise DTypeError(
                    f"Tensor(data): expected a floating or complex dtype, got {value.dtype}. Write "
                    "e.g. 3.0 instead of 3, or requires_grad=False for a constant."
                )
            node = TapeNode(None, (), {"tensor": weakref.ref(self)}, value, ())
        super().__init__(_TAPE, value, node)
        self.grad: Any = None
        self._leaf = True

    @property
    def requires_grad(self) -> bool:
        """Whether this tensor depends on one whose gradient is wanted."""
        return self.node is not None

    @property
    def data(self) -> Any:
        """The array itself; what is done to it is not recorded."""
        self.refresh()
        return self.value

    @data.setter
    def data(self, new: Any) -> None:
        value = np.asarray(new, dtype=self.dtype)
        if value.shape != self.shape:
            raise ShapeError(f"data: expected shape {self.shape}, got {value.shape}")
        self.value = value

    def numpy(self) -> Any:
        """Return the array itself (a constant)."""
        return self.data

    def detach(self) -> Tensor:
        """Return a tensor with the same numbers that no gradient flows through."""
        return Tensor(self.data, requires_grad=False)

    def backward(self, gradient: Any = None) -> None:
        """Add the derivative of this tensor to `grad` of the tensors it depends on.

        `gradient` is the cotangent of this tensor, needed unless it is a scalar.
        Raises ShapeError without it for other shapes, NotDifferentiableError where nothing here
        requires a gradient.
        """
        self.refresh()
        if self.node is None:
            raise NotDifferentiableError(
                "backward(): this tensor depends on no tensor with requires_grad=True"
            )
        if gradient is None:
            if self.shape != ():
                raise ShapeError(
                    f"backward(): expected a scalar, got shape {self.shape}. Reduce it, e.g. with "
                    ".sum(), or give the cotangent: backward(np.ones_like(x))."
                )
            gradient = np.ones((), self.dtype)
        gradient = np.asarray(gradient, dtype=self.dtype)
        if gradient.shape != self.shape:
            raise ShapeError(f"gradient: expected shape {self.shape}, got {gradient.shape}")
        leaves = inputs_of(self.node)
        table = backward([(self.node, gradient)], keep=leaves)
        for leaf in leaves:
            tensor = leaf.params["tensor"]()
            if tensor is not None and leaf in table:
                found = np.array(table[leaf])
                tensor.grad = found if tensor.grad is None else tensor.grad + found

    def __reduce__(self) -> tuple[Any, ...]:
        if self.node is not None and not self._leaf:
            raise PicklingError(
                "a tensor that was computed cannot be pickled, as its history would be lost; "
                "pickle x.detach() or x.numpy()"
            )
        return _restored, (self.data, self.requires_grad, self.grad)

    def zero_grad(self) -> None:
        """Forget the gradient that `backward` has added up."""
        self.grad = None

    def alias(self) -> Tensor:
        """Return a result of the same value, which assignments to this tensor do not reach."""
        return _TAPE.wrap(self.value, self.node)

    def rebind(self, new: Any) -> None:
        """Re-bind a result to `new`; what the user made is changed through `data` instead."""
        if self._leaf and self.node is not None:
            raise NotDifferentiableError(
                "in-place change of a tensor that requires a gradient: write w.data[...] = value "
                "for a change that is not recorded, or y = w + 0 first for one that is"
            )
        super().rebind(new)


def _restored(data: Any, requires_grad: bool, gradient: Any) -> Tensor:
    tensor = Tensor(data, requires_grad)
    tensor.grad = gradient
    return tensor


class _TensorTape(Tape):
    """The tape of all tensors: it holds nothing itself, so unused history is freed."""

    def wrap(self, value: Any, node: TapeNode | None = None) -> Tensor:
        tensor = Tensor.__new__(Tensor)
        TapeTracer.__init__(tensor, self, value, node)
        tensor.grad = None
        tensor._leaf = False
        return tensor


_TAPE = _TensorTape()
