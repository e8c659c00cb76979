"""Functions as NumPy code spells them in several operations: softmax, norms, rectifiers.

A pattern looks at the last node, and gives the form of the whole, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.graph import Node
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.forms import Build, Form, applied, uniform
from pullback.explain.derivation.functions import (
    GELU,
    MAXIMUM_0,
    RELU,
    SIGMOID,
    SOFTPLUS,
    leaky_relu,
)
from pullback.explain.derivation.operations import Operation, call, constant, no_formula


def _is(node: Node, name: str) -> bool:
    return node.op is not None and node.op.name == name


def _other(node: Node, value: float) -> Node | None:
    """Return the input beside a constant of this value, where the result has its shape."""
    for given, x in (node.inputs, node.inputs[::-1]):
        if uniform(given) == value and x.shape == node.shape:
            return x
    return None


def _sigmoid(node: Node) -> Form | None:
    """1 / (1 + exp(-z))."""
    one, below = node.inputs
    if uniform(one) != 1 or not _is(below, "add"):
        return None
    power = _other(below, 1)
    if power is None or not _is(power, "exp") or not _is(power.inputs[0], "negative"):
        return None
    return applied(SIGMOID, power.inputs[0].inputs[0])


def _maximum(node: Node) -> Form | None:
    """maximum(z, 0)."""
    z = _other(node, 0)
    return None if z is None else applied(MAXIMUM_0, z)


def _softplus(node: Node) -> Form | None:
    """logaddexp(z, 0)."""
    z = _other(node, 0)
    return None if z is None else applied(SOFTPLUS, z)


def _log_of_one_plus_exp(node: Node) -> Form | None:
    """log(1 + exp(z)), log1p(exp(z))."""
    (x,) = node.inputs
    power = x if _is(node, "log1p") else _other(x, 1) if _is(x, "add") else None
    if power is None or not _is(power, "exp"):
        return None
    return applied(SOFTPLUS, power.inputs[0])


def _rectifier(node: Node) -> Form | None:
    """where(z > 0, z, 0), where(z <= 0, 0, z), where(z > 0, z, slope * z)."""
    condition, yes, no = node.inputs
    if condition.op is None or len(condition.inputs) != 2 or uniform(condition.inputs[1]) != 0:
        return None
    z, name = condition.inputs[0], condition.op.name
    if name in ("less_equal", "less"):
        yes, no = no, yes
    elif name not in ("greater", "greater_equal"):
        return None
    if yes is not z or z.shape != node.shape:
        return None
    if uniform(no) == 0:
        return applied(RELU, z) if name in ("greater", "less_equal") else None
    if _is(no, "multiply") and z in no.inputs and name == "greater":
        slope = uniform(no.inputs[0] if no.inputs[1] is z else no.inputs[1])
        return applied(leaky_relu(slope), z) if slope is not None else None
    return None


def _gelu(node: Node) -> Form | None:
    """0.5 * z * (1 + erf(z * sqrt(0.5)))."""
    half, bell = node.inputs
    if not (_is(half, "multiply") and _is(bell, "add")):
        return None
    z, erf = _other(half, 0.5), _other(bell, 1)
    if z is None or erf is None or not _is(erf, "erf") or not _is(erf.inputs[0], "multiply"):
        return None
    return applied(GELU, z) if _other(erf.inputs[0], np.sqrt(0.5)) is z else None


def _unshifted(node: Node) -> Node:
    """Return z of z - stop_gradient(max(z)), which softmax does not notice."""
    if _is(node, "subtract") and _is_constant_maximum(node.inputs[1], node.inputs[0]):
        return node.inputs[0]
    return node


def _is_constant_maximum(node: Node, of: Node) -> bool:
    return (
        _is(node, "stop_gradient") and _is(node.inputs[0], "max") and node.inputs[0].inputs[0] is of
    )


def _sums_rows(node: Node, keepdims: bool) -> bool:
    """Whether `node` sums a vector, or each row of matrices."""
    (x,) = node.inputs
    rank = len(x.shape)
    kept = node.params["keepdims"] is keepdims or rank == 1
    return kept and rank > 0 and node.params["axis"] == (rank - 1,)


def _by_row(z: Node, build: Build, single: Build) -> Build:
    """Return what `build` makes of each row of z, and `single` where each row is one number.

    A matrix of one column may be written as a vector, whose entries are no row.
    """
    one_column = len(z.shape) == 2 and z.shape[1] == 1
    return lambda x: (single if one_column else build)(x)


def _softmax(node: Node) -> Form | None:
    """exp(z) / sum(exp(z)), of the last axis, with the maximum taken off or not."""
    above, below = node.inputs
    if not (_is(above, "exp") and _is(below, "sum") and _sums_rows(below, keepdims=True)):
        return None
    if not _is(below.inputs[0], "exp"):
        return None
    z = above.inputs[0]
    if below.inputs[0].inputs[0] is not z:
        return None
    return Form((_unshifted(z),), _by_row(z, e.softmax, lambda x: e.ones(*x.shape)), "activation")


def _log_sum_exp(node: Node) -> Form | None:
    """log(sum(exp(z)))."""
    (x,) = node.inputs
    if not _is(x, "sum") or not _is(x.inputs[0], "exp") or len(x.inputs[0].shape) > 2:
        return None
    if not _sums_rows(x, keepdims=False):
        return None
    (z,) = x.inputs[0].inputs
    return Form((z,), _by_row(z, e.logsumexp, lambda x: x), "function")


def _shifted_log_sum_exp(node: Node) -> Form | None:
    """log(sum(exp(z - top))) + top, with top the maximum, constant."""
    for log, top in (node.inputs, node.inputs[::-1]):
        if not _is(log, "log") or not _is(log.inputs[0], "sum"):
            continue
        form = _log_sum_exp(log)
        if form is None or not _is(form.operands[0], "subtract"):
            continue
        shifted = form.operands[0]
        source = top.inputs[0] if _is(top, "getitem") or _is(top, "reshape") else top
        z = _unshifted(shifted)
        if z is not shifted and source is shifted.inputs[1]:
            return Form((z,), _by_row(z, e.logsumexp, lambda x: x), "function")
    return None


def _norm(node: Node) -> Form | None:
    """where(s == 0, 0, sqrt(where(s == 0, 1, s))): the root of s, as np.linalg.norm takes it."""
    condition, nothing, root = node.inputs
    if not (_is(condition, "equal") and _is(root, "sqrt") and uniform(nothing) == 0):
        return None
    safe = root.inputs[0]
    s = condition.inputs[0]
    if not _is(safe, "where") or safe.inputs[0] is not condition or safe.inputs[2] is not s:
        return None
    return Form((s,), lambda x: e.power(x, 0.5))


def _masked(node: Node) -> Form | None:
    """where(mask, x, 0) is the product with the mask, which is 0 and 1."""
    mask, yes, no = node.inputs
    if uniform(no) != 0 or mask.shape != node.shape or yes.shape != node.shape:
        return None
    return Form((mask, yes), e.hadamard)


def _onehot(node: Node) -> Form | None:
    """labels[:, None] == arange(k): a row of zeros and a one for each label."""
    labels, classes = node.inputs
    if not (classes.is_constant and np.array_equal(classes.value, np.arange(classes.aval.size))):
        return None
    if labels.shape != (node.shape[0], 1) or classes.shape != node.shape[1:]:
        return None
    names = np.asarray(classes.value)
    operation = constant("onehot", lambda y: y == names, [labels.aval], node.shape)
    return Form((labels,), lambda y: call(operation, y))


def _kron(node: Node) -> Form | None:
    """Reshape of A[i, 1, j, 1] * B[1, k, 1, l], as np.kron takes it."""
    (x,) = node.inputs
    if not _is(x, "multiply") or len(x.shape) != 4 or len(node.shape) != 2:
        return None
    a, b = x.inputs
    if not (_is(a, "reshape") and _is(b, "reshape")):
        return None
    (m, one, n, two), (three, p, four, q) = a.shape, b.shape
    matrices = (a.inputs[0], b.inputs[0])
    if (one, two, three, four) != (1, 1, 1, 1) or node.shape != (m * p, n * q):
        return None
    if [i.shape for i in matrices] != [(m, n), (p, q)]:
        return None

    def bprop(args: Sequence[Any], g: Any) -> Sequence[Any]:
        blocks = g.reshape(m, p, n, q)
        return [np.einsum("ipjq,pq", blocks, args[1]), np.einsum("ipjq,ij", blocks, args[0])]

    avals = [i.aval for i in matrices]
    operation = Operation("kron", np.kron, bprop, avals, node.shape, {}, no_formula)
    return Form(matrices, lambda s, t: e.make("kron", (s, t), node.shape, operation))


PATTERNS: dict[str, tuple[Callable[[Node], Form | None], ...]] = {
    "divide": (_sigmoid, _softmax),
    "maximum": (_maximum,),
    "logaddexp": (_softplus,),
    "log": (_log_of_one_plus_exp, _log_sum_exp),
    "log1p": (_log_of_one_plus_exp,),
    "where": (_rectifier, _norm, _masked),
    "equal": (_onehot,),
    "multiply": (_gelu,),
    "add": (_shifted_log_sum_exp,),
    "reshape": (_kron,),
}
"""The patterns by the operation of their last node."""
