"""A graph that was saved computes the same bits, and so does all that is derived from it."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from op_graphs import graph_of
from op_samples import DIFFERENTIABLE, NAMES
from random_programs import programs

import pullback as pb
from pullback import nn
from pullback.core.errors import FormatError
from pullback.core.op import OPS
from pullback.interchange import load_graph, save_graph
from pullback.interchange.graph.signatures import RULES

X = np.linspace(0.1, 1.0, 6)
KEY = pb.random.key(0)


def again(graph, folder, **options):
    save_graph(graph, folder / "graph", **options)
    return load_graph(folder / "graph", **options)


def assert_same_bits(first, second):
    pairs = zip(pb.tree.leaves(first), pb.tree.leaves(second), strict=True)
    for a, b in pairs:
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def total(results):
    smooth = [x for x in pb.tree.leaves(results) if x.dtype.kind in "fc"]
    return sum(np.sum(np.real(x * np.conj(x))) for x in smooth)


# every operation


def test_every_operation_has_a_rule_or_is_elementwise():
    general = {name for name, op in OPS.items() if op.kind != "elementwise"}
    assert general - set(RULES) == {"item"}
    assert set(RULES) <= set(OPS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_comes_back(name, tmp_path):
    graph, args = graph_of(name, np.float64)
    loaded = again(graph, tmp_path)
    if name != "solve_ivp":  # whose right side is a graph then, of another name
        assert str(loaded) == str(graph)
    assert_same_bits(graph.run(args), loaded.run(args))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_gradient_of_every_loaded_operation_is_the_same(name, tmp_path):
    graph, args = graph_of(name, np.float32)
    places = [i for i, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]

    def gradient(graph):
        def function(*moving):
            full = list(args)
            for i, x in zip(places, moving, strict=True):
                full[i] = x
            return total(graph.run(full))

        return pb.grad(function, argnums=tuple(range(len(places))))

    moving = [args[i] for i in places]
    assert_same_bits(gradient(graph)(*moving), gradient(again(graph, tmp_path))(*moving))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=25)
@given(case=programs())
def test_random_programs_come_back(case, tmp_path_factory):
    args, program = case
    args = [x.astype(x.dtype.newbyteorder("="), copy=False) for x in args]
    graph = pb.trace(program, *args)
    loaded = again(graph, tmp_path_factory.getbasetemp())
    assert str(loaded) == str(graph)
    assert_same_bits(graph(*args), loaded(*args))


# control flow


def scanned(x):
    return pb.scan(lambda c, row: (np.tanh(c + row), c * row), np.float64(0.3), x)


def repeated(x):
    return pb.while_loop(lambda s: np.sum(s) < 40, lambda s: s * 1.5, x)


def chosen(x):
    return pb.cond(np.sum(x) > 1, np.sin, np.square, x)


def counted(x):
    return pb.fori_loop(0, 5, lambda i, s: s * np.cos(s) + i, x)


@pytest.mark.parametrize("function", [scanned, repeated, chosen, counted])
@pytest.mark.parametrize("way", ["value", "gradient", "batch", "second order", "jvp"])
def test_control_flow_comes_back(function, way, tmp_path):
    def loss(x):
        return total(function(x))

    ways = {
        "value": (function, X),
        "gradient": (pb.grad(loss), X),
        "batch": (pb.grad(lambda x: np.sum(pb.vmap(loss)(x))), np.stack([X, 2 * X])),
        "second order": (pb.hessian(loss), X),
        "jvp": (lambda x: pb.jvp(pb.grad(loss), (x,), (x,)), X),
    }
    f, x = ways[way]
    graph = pb.simplify(pb.trace(f, x))
    loaded = again(graph, tmp_path)
    assert str(loaded) == str(graph)
    assert_same_bits(graph(x), loaded(x))


def test_a_graph_inside_two_nodes_is_written_once_and_stays_one(tmp_path):
    graph = pb.trace(counted, X)
    twice = pb.trace(lambda x: (graph(x), graph(2 * x)), X)
    loaded = again(twice, tmp_path)
    steps = [node.params["step"].graph for node in loaded.nodes if "step" in node.params]
    assert len(steps) == 2
    assert steps[0] is steps[1]
    assert_same_bits(twice(X), loaded(X))


def test_a_differential_equation_comes_back_with_its_right_side_traced(tmp_path):
    from pullback.scipy.integrate import solve_ivp

    def position(frequency):
        def slope(t, y, w):
            return np.stack([y[1], -w * w * y[0]])

        return solve_ivp(slope, (0.0, 2.0), [1.0, 0.0], t_eval=[2.0], args=(frequency,)).y[0, 0]

    graph = pb.trace(position, 1.5)
    loaded = again(graph, tmp_path)
    assert_same_bits(graph(1.5), loaded(1.5))
    assert_same_bits(pb.grad(graph)(1.5), pb.grad(loaded)(1.5))


# networks


class Ours(nn.Module):
    inner: nn.Linear
    factor: float = nn.static(default=2.0)

    def __call__(self, x):
        return self.factor * self.inner(x)


class Pair(NamedTuple):
    first: object
    second: object


MODELS = {
    "mlp": (nn.mlp(KEY, [4, 8, 3]), np.ones((5, 4), np.float32)),
    "resnet": (nn.resnet(KEY, 10, widths=(4, 8), blocks=1), np.ones((2, 8, 8, 3), np.float32)),
    "gpt": (nn.gpt(KEY, 20, 8, features=8, heads=2, layers=1), np.zeros((2, 6), np.int64)),
    "lstm": (nn.LSTM.create(KEY, 3, 4, bidirectional=True), np.ones((2, 5, 3), np.float32)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_comes_back_with_the_model_as_argument(name, tmp_path):
    model, x = MODELS[name]
    parameters, state = nn.partition(model)

    def step(parameters, x):
        def loss(parameters):
            return np.mean(np.square(nn.combine(parameters, state)(x)))

        value, gradient = pb.value_and_grad(loss)(parameters)
        return value, pb.tree.map(lambda p, g: p - np.float32(0.1) * g, parameters, gradient)

    graph = pb.trace(step, parameters, x)
    loaded = again(graph, tmp_path)
    assert loaded.in_tree == graph.in_tree
    assert type(loaded(parameters, x)[1]) is type(model)
    assert_same_bits(graph(parameters, x), loaded(parameters, x))


def test_classes_of_ones_own_are_named_on_saving_and_on_loading(tmp_path):
    model = Ours(nn.Linear(np.ones((2, 3))))
    graph = pb.trace(lambda m, x: Pair(m(x), {"b": [None, x], (1, 2): 3.0}), model, np.ones(2))
    with pytest.raises(FormatError, match=r"types=\(Ours,\)"):
        save_graph(graph, tmp_path / "graph")
    types = (Ours, Pair)
    loaded = again(graph, tmp_path, types=types)
    out = loaded(model, np.ones(2))
    assert isinstance(out, Pair)
    assert list(out.second) == ["b", (1, 2)]
    assert_same_bits(graph(model, np.ones(2)), out)
    with pytest.raises(FormatError, match="'Ours'"):
        load_graph(tmp_path / "graph")
    with pytest.raises(FormatError, match="named tuples"):
        load_graph(tmp_path / "graph", types=[dict])


def test_a_loaded_graph_compiles(tmp_path):
    model, x = MODELS["mlp"]
    graph = pb.trace(lambda m, x: pb.grad(lambda m: np.sum(m(x) ** 2))(m), model, x)
    loaded = again(graph, tmp_path)
    assert_same_bits(pb.compile(graph)(model, x), pb.compile(loaded)(model, x))


# constants and parameters


def test_constants_keep_dtype_order_and_sharing(tmp_path):
    rng = np.random.default_rng(0)
    columns, shared = np.asfortranarray(rng.normal(size=(6, 40))), np.arange(6.0)
    for array in (columns, shared):
        array.flags.writeable = False

    def function(x):
        return [
            x @ columns, x + shared, x * shared, x * 2, x * (1 + 2j), x * np.inf, np.float64(3.0),
            np.where(x > 0, x, np.nan), x + np.float32(1), np.arange(5, dtype=np.uint8), True,
            np.zeros((0, 3), np.float16), np.array([1 + 2j, -0.0], np.complex64), x * -0.0,
        ]  # fmt: skip

    graph = pb.trace(function, X)
    loaded = again(graph, tmp_path)
    assert_same_bits(graph(X), loaded(X))
    kept = [n.value for n in loaded.constants if np.shape(n.value) == (6,)]
    assert len({id(value) for value in kept}) == 1


def test_a_python_scalar_stays_weak(tmp_path):
    graph = pb.trace(lambda x, k: x * k, pb.Aval((3,), "f4"), pb.Aval((), "f8", weak=True))
    loaded = again(graph, tmp_path)
    assert loaded.results[0].dtype == np.float32
    assert loaded.arguments[1].aval.weak


def test_parameters_that_are_numbers_of_numpy_become_plain_ones(tmp_path):
    graph = pb.trace(
        lambda x: OPS["sum"](x, axis=(np.int64(0),), keepdims=np.bool_(False)), np.ones(3)
    )
    loaded = again(graph, tmp_path)
    assert type(loaded.nodes[1].params["axis"][0]) is int
    assert loaded(np.ones(3)) == 3.0


# what has no place in a file


@pb.custom_vjp
def own_rule(x):
    return x * 2


own_rule.defvjp(lambda x: (x * 2, None), lambda _, ct: (ct,))


def called_back(x):
    return pb.pure_callback(lambda x: x, pb.Aval((6,), float), x)


def root(x):
    return pb.custom_root(lambda y, x: y - x, lambda y, x: x)(np.zeros(6), x)


@pytest.mark.parametrize("function", [own_rule, called_back, root])
def test_python_functions_are_refused_by_the_name_of_their_node(function, tmp_path):
    graph = pb.trace(lambda x: function(np.sin(x)), X)
    with pytest.raises(FormatError, match=r"node '\w+': .* Python functions of your own"):
        save_graph(graph, tmp_path / "graph")
    inside = pb.trace(lambda x: pb.cond(x[0] > 0, function, np.sin, x), X)
    with pytest.raises(FormatError, match="node"):
        save_graph(inside, tmp_path / "graph")
    assert not list(tmp_path.iterdir())
