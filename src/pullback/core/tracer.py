"""The array-like object that a function sees while it is traced.

A tracer belongs to a trace (its `context`), which decides what an operation on it does: run and
record (tape), carry a tangent, or append to a graph. Traces have levels, and an operation goes to
the trace of the highest level among its arguments, so nested transformations never confuse their
variables.
"""

from __future__ import annotations

import importlib
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dispatch
from pullback.core.aval import Aval, DType, Shape
from pullback.core.callers import asked_by, refuse_losses
from pullback.core.errors import NotDifferentiableError, TracerError
from pullback.core.foreign import refuse
from pullback.core.methods import array_methods

if TYPE_CHECKING:
    from pullback.core.op import Op

levels = itertools.count()
_LOST = (
    "a traced array was to be turned into a plain numpy array, which would lose its gradient. "
    "Where it happens in `buffer[i] = traced`, create the buffer with np.zeros_like of a traced "
    "array or with pb.numpy.zeros, or run the code inside `with pb.traced_buffers():`; where it "
    "happens in np.array([...]) or another function that does not dispatch, use np.stack or "
    "pb.numpy.array; for functions of SciPy that are no ufuncs (logsumexp, softmax, ...) use "
    "pullback.scipy.special; to take the number as a constant, use float(x) or x.tolist()"
)

_LOST_INDEX = (
    "a traced array of integers or booleans was to be turned into a plain numpy array, of which "
    "the numbers are not known here. Where it is an index into a plain array, array[index], write "
    "pb.numpy.take(array, index, axis=0); for a mask write np.where(mask, array, 0)"
)


class Trace:
    """What operations do with the tracers of one transformation."""

    def __init__(self) -> None:
        self.level: float = next(levels)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """Run or record `op` on `args`, of which at least one is a tracer of this trace."""
        raise NotImplementedError

    def wrap(self, value: Any) -> Tracer:
        """Return a tracer of this trace for a value that does not depend on its inputs."""
        raise NotImplementedError


class View:
    """Ties a tracer to the one whose memory it shares, as NumPy's views do.

    `read` takes the base to the view and `write` takes (base, new view) to the new base;
    `version` is the base's count of assignments when the view was last read.
    """

    __slots__ = ("base", "read", "version", "write")

    def __init__(
        self, base: Tracer, read: Callable[[Any], Any], write: Callable[[Any, Any], Any]
    ) -> None:
        self.base, self.read, self.write = base, read, write
        self.version = base.version


@array_methods
class Tracer:
    """An array under trace: behaves as an ndarray of its shape and dtype.

    `value` is the array, or the tracer of a lower level, that it stands for; in a graph trace it
    is the graph's node. `version` counts assignments into it, `origin` is set for views.
    """

    __slots__ = ("__weakref__", "context", "node", "origin", "value", "version")

    __array_priority__ = 1000.0
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, value: Any, node: Any = None) -> None:
        self.context = trace
        self.value = value
        self.node = node
        self.version = 0
        self.origin: View | None = None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # what array_methods adds

    # what is known without computing

    @property
    def shape(self) -> Shape:
        """Shape of the array."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        """Dtype of the array."""
        return self.value.dtype  # type: ignore[no-any-return]

    @property
    def aval(self) -> Aval:
        """Shape and dtype of the array."""
        return Aval(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.aval.size

    @property
    def nbytes(self) -> int:
        """Number of bytes of the elements."""
        return self.size * self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Number of bytes of one element."""
        return self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an unsized (0-d) array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            rule = dispatch.ufuncs.get(ufunc)
            if rule is not None:
                if len(inputs) == 1:  # it is this one
                    return rule(self)
                return rule(*map(dispatch.as_operand, inputs))
        return dispatch.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for kind in types:
            refuse(kind)
        rule = dispatch.functions.get(func)
        if rule is None:
            rule = dispatch.lookup(dispatch.functions, func)
        return rule(*args, **kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TracerError(asked_by() + (_LOST if self.dtype.kind in "fc" else _LOST_INDEX))

    # the array API standard

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """Return the namespace of the array API's functions: pullback.numpy."""
        return importlib.import_module("pullback.numpy")

    @property
    def device(self) -> str:
        """Where the numbers are: always "cpu"."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Tracer:
        """Return this array, which is on "cpu" already. Raises ValueError for another device."""
        if device != "cpu":
            raise ValueError(f"device: expected 'cpu', the only one there is, got {device!r}")
        return self

    def __dlpack__(self, **options: Any) -> Any:
        return np.asarray(self.concrete("__dlpack__")).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        return np.empty(0).__dlpack_device__()

    # numbers

    def concrete(self, purpose: str) -> Any:
        """Return the number behind a define-by-run tracer, for `purpose`."""
        self.refresh()
        value = self.value
        return value.concrete(purpose) if isinstance(value, Tracer) else value

    def __bool__(self) -> bool:
        return bool(self.concrete("bool()"))

    def __float__(self) -> float:
        refuse_losses(_LOST)
        return float(self.concrete("float()"))

    def __int__(self) -> int:
        return int(self.concrete("int()"))

    def __complex__(self) -> complex:
        refuse_losses(_LOST)
        return complex(self.concrete("complex()"))

    def __index__(self) -> int:
        return operator.index(self.concrete("an index"))

    def __round__(self, ndigits: int | None = None) -> Any:
        return np.round(self, ndigits or 0)

    def __format__(self, spec: str) -> str:
        return format(self.concrete("formatting"), spec) if spec else repr(self)

    def item(self, *args: Any) -> Any:
        """Return one element as a Python scalar (a constant: the gradient ends here)."""
        return np.asarray(self.concrete("item()")).item(*args)

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python scalars (constants)."""
        return np.asarray(self.concrete("tolist()")).tolist()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    # indexing and assignment

    def __getitem__(self, index: Any) -> Any:
        return dispatch.functions[operator.getitem](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.assign(dispatch.functions[operator.setitem](self, index, value))

    def assign(self, new: Any) -> None:
        """Re-bind this tracer to `new`, and what it is a view of likewise."""
        self.refresh()
        steps, view = [(self, new)], self.origin
        while view is not None:
            new = view.write(view.base, new)
            steps.append((view.base, new))
            view = view.base.origin
        for tracer, value in reversed(steps):
            tracer.rebind(value)
            if tracer.origin is not None:
                tracer.origin.version = tracer.origin.base.version

    def alias(self) -> Tracer:
        """Return another tracer of the same value, which assignments to this one do not reach."""
        return type(self)(self.context, self.value, self.node)

    def rebind(self, new: Any) -> None:
        """Stand for `new`, which may be of a lower level or no tracer."""
        if not isinstance(new, Tracer) or new.context is not self.context:
            if isinstance(new, Tracer) and new.context.level > self.context.level:
                raise NotDifferentiableError(
                    "an array of an outer transformation was assigned a value of an inner one; "
                    "copy it first (x = x + 0) or create it inside the inner function"
                )
            new = self.context.wrap(new)
        self.hold(new)

    def refresh(self) -> None:
        """Read a view anew when what it is a view of was assigned to."""
        chain, view = [], self.origin
        while view is not None:
            chain.append((self, view))
            self, view = view.base, view.base.origin
        for tracer, view in reversed(chain):
            if view.version != view.base.version:
                tracer.hold(view.read(view.base))
                view.version = view.base.version

    def hold(self, new: Any) -> None:
        """Stand for what `new` stands for."""
        self.value, self.node = new.value, new.node
        self.version += 1


def highest_trace(args: Iterable[Any]) -> Trace | None:
    """Return the trace of the highest level among the tracers in `args`; None without any."""
    top = None
    for a in args:
        if isinstance(a, Tracer):
            trace = a.context
            if top is None or trace.level > top.level:
                top = trace
    return top
