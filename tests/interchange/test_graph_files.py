"""Files of graphs are not believed: whatever is wrong with one is an error, and nothing runs."""

import copy
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import pullback as pb
from pullback.core.errors import FormatError
from pullback.core.op import OPS
from pullback.interchange import load_graph, save_graph

X = np.linspace(0.1, 1.0, 6)


def loop(x):
    carry, rows = pb.scan(lambda c, row: (np.tanh(c + row), c * row), np.float64(0.3), x)
    return np.sum(rows) + pb.while_loop(lambda s: s < 3, lambda s: s * 1.5, carry)


def shapes(x):
    y = np.einsum("i,j->ij", x, np.arange(6.0))
    z = np.linalg.inv(y @ y.T + 6 * np.eye(6))[1:, ::2, None]
    return {"a": np.transpose(z, (1, 0, 2)).sum(axis=1), "b": [np.concatenate([x, x * np.inf])]}


def images(x):
    from pullback.nn import functional

    image = np.broadcast_to(np.reshape(x, (1, 6, 1, 1)), (1, 6, 6, 1))
    y = functional.conv(image, np.ones((3, 3, 1, 2)), padding=1)
    return functional.max_pool(y, 2)


FUNCTIONS = [loop, shapes, images]


def written(function, path):
    """The record and the constants of the file that holds the function and its gradient."""

    def both(x):
        def total(x):
            return sum(np.sum(leaf) for leaf in pb.tree.leaves(function(x)))

        return function(x), pb.grad(total)(x)

    save_graph(pb.trace(both, X), path)
    return read(path)


def read(path):
    """The record and the constants of a file."""
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["pullback"]), load_file(path)


def rewrite(path, record, constants):
    save_file(constants, path, metadata={"pullback": json.dumps(record)})


def places(content, path=()):
    """The paths to all parts of JSON content."""
    yield path
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, inner in items:
            yield from places(inner, (*path, key))


def put(content, path, value):
    content = copy.deepcopy(content)
    if not path:
        return value
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


WRONG = [
    None, True, -1, 0, 1, 7, 10**6, 2**62, 10**40, 1.5, "", "x", "*", "../../etc/passwd", "sin",
    "__import__('os').system('true')", [], [[]], [0], {}, {"tuple": []}, {"float": "inf"},
    {"graph": 0}, {"graph": -1}, {"float": "1e5"}, {"complex": [0.0, 1.0]}, {"slice": [0, 1, 0]},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_part_replaced_is_refused_or_makes_a_sound_graph(function, tmp_path):
    path = tmp_path / "graph"
    record, constants = written(function, path)
    rng, refused = np.random.default_rng(0), 0
    parts = [p for p in places(record) if p]
    for k in range(162):
        place, wrong = parts[rng.integers(len(parts))], WRONG[k % len(WRONG)]
        rewrite(path, put(record, place, wrong), constants)
        try:
            graph = load_graph(path)
        except FormatError as error:
            refused += str(error).startswith(str(path))
        else:
            run(graph)
    assert refused > 110


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_part_taken_away_is_refused_or_makes_a_sound_graph(function, tmp_path):
    path = tmp_path / "graph"
    record, constants = written(function, path)
    rng, parts = np.random.default_rng(0), [p for p in places(record) if p]
    for _ in range(60):
        *outer, key = parts[rng.integers(len(parts))]
        changed = copy.deepcopy(record)
        inner = changed
        for step in outer:
            inner = inner[step]
        del inner[key]
        rewrite(path, changed, constants)
        try:
            run(load_graph(path))
        except FormatError:
            continue


def run(graph):
    """Run a graph whose arrays fit into memory: errors of numbers are fine, crashes are not."""
    nodes = [n for g in [graph, *inner_graphs(graph)] for n in g.nodes]
    endless = any(n.op is not None and n.op.name in ENDLESS for n in nodes)
    if endless or not all(fits(aval) for n in nodes for aval in avals(n)):
        return
    args = [np.ones(n.shape, n.dtype) for n in graph.arguments]
    try:
        results = graph.run(args)
    except (ArithmeticError, ValueError, IndexError):
        return
    for result, node in zip(results, graph.results, strict=True):
        assert np.shape(result) == node.shape
        assert np.asarray(result).dtype == node.dtype or node.aval.weak


ENDLESS = ("while_loop", "repeat_step", "scan")
"""Loops, which a changed number lets run for ever."""


def avals(node):
    return node.aval if isinstance(node.aval, tuple) else (node.aval,)


def fits(aval):
    return aval.size < 10**5


def inner_graphs(graph):
    for node in graph.nodes:
        for value in node.params.values():
            yield from (g for g in (value, getattr(value, "graph", None)) if hasattr(g, "nodes"))


def test_damaged_files_are_refused_at_every_length(tmp_path):
    path = tmp_path / "graph"
    written(loop, path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError):
            load_graph(path)
    rng = np.random.default_rng(0)
    for _ in range(90):
        place = int(rng.integers(len(content)))
        flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        try:
            load_graph(path)
        except FormatError:
            continue


# one fault each


@pytest.fixture
def small(tmp_path):
    """Rewrites a file that holds sum(x[1:] * constant), with one entry changed."""
    path = tmp_path / "graph"
    constant = np.arange(5.0)
    save_graph(pb.trace(lambda x: np.sum(x[1:] * constant, axis=0), X), path)
    record, constants = read(path)

    def change(*place, to, constants=constants):
        rewrite(path, put(record, place, to), constants)
        return path

    return change


NODES = ("graphs", 0, "nodes")


@pytest.mark.parametrize(
    ("place", "to", "message"),
    [
        (("version",), 2, "expected version 1 of graphs, got 2"),
        (("format",), 99, "expected format"),
        (("holds",), "weights", "expected a file of graph"),
        (("graphs",), [], "expected a list of graphs"),
        ((*NODES, 1, "op"), "os.system", "no operation is named 'os.system'"),
        ((*NODES, 1, "op"), ["sin"], "no operation"),
        ((*NODES, 1, "inputs"), [1], "numbers of nodes before this one"),
        ((*NODES, 1, "inputs"), [3], "numbers of nodes before this one"),
        ((*NODES, 1, "inputs"), [-1], "numbers of nodes before this one"),
        ((*NODES, 1, "inputs"), [True], "numbers of nodes before this one"),
        ((*NODES, 1, "inputs"), [], "getitem"),
        ((*NODES, 1, "inputs"), [0, 0], "does not take"),
        ((*NODES, 1, "params"), {}, "getitem"),
        ((*NODES, 1, "params"), {"index": {"graph": 0}}, "no value of a parameter"),
        ((*NODES, 1, "params"), {"index": 1, "a=print(1)": 2}, "getitem"),
        ((*NODES, 1, "type"), ["float64", [6]], r"gives f64\[5\], but the file says f64\[6\]"),
        ((*NODES, 0, "type"), ["float64", [2**40, 2**40]], "a shape that a computer can hold"),
        ((*NODES, 0, "type"), ["float64", [-1]], "expected a dtype and a shape"),
        ((*NODES, 0, "type"), ["object", [6]], "expected a dtype of numbers"),
        ((*NODES, 0, "type"), ["O", [6]], "expected a dtype of numbers"),
        ((*NODES, 0, "name"), "a\nb", "printable name"),
        ((*NODES, 2, "constant"), "/etc/passwd", "the constant '/etc/passwd' is missing"),
        ((*NODES, 2), {"type": ["float64", []], "number": "5"}, "expected a number"),
        ((*NODES, 2), {"type": ["int64", []], "number": 1.5}, "1.5 is no"),
        ((*NODES, 4, "params", "axis"), [1], "does not take"),
        ((*NODES, 4, "params", "axis"), [0, 0], "does not take"),
        ((*NODES, 4, "params", "axis"), [-1], "does not take"),
        ((*NODES, 4, "params", "keepdims"), 0, "does not take"),
        (("graphs", 0, "results"), [99], "numbers of nodes"),
        (("graphs", 0, "results"), [], "a place for each argument and result"),
        (("graphs", 0, "arguments"), 2, "entries"),
        (("graphs", 0, "name"), "a b", "identifier"),
        (("graphs", 0, "in_tree"), {"tuple": []}, "a place for each argument"),
        (("graphs", 0, "in_tree"), {"class": ["Popen", {}]}, "'Popen' of an argument"),
        (("graphs", 0, "in_tree"), {"class": ["Linear", {}]}, "the fields weight, bias"),
        (("graphs", 0, "out_tree"), {"set": ["*"]}, "no container"),
    ],
)
def test_each_fault_is_named(small, place, to, message):
    with pytest.raises(FormatError, match=message):
        load_graph(small(*place, to=to))


def test_graphs_may_use_only_those_before_them(small, tmp_path):
    record, constants = written(loop, tmp_path / "loop")
    inside = [p for p in places(record) if p[-1:] == ("graph",)]
    assert inside
    for place in inside:
        for number in (len(record["graphs"]) - 1, len(record["graphs"]), place[1]):
            rewrite(tmp_path / "loop", put(record, place, number), constants)
            with pytest.raises(FormatError):
                load_graph(tmp_path / "loop")


def test_a_constant_of_another_shape_or_dtype_is_refused(small):
    for constant in (np.arange(6.0), np.arange(5.0, dtype=np.float32), np.float64(1.0)):
        name = "constant0"
        with pytest.raises(FormatError, match="constant0"):
            load_graph(small("version", to=1, constants={name: np.asarray(constant)}))


@pytest.mark.parametrize("depth", [100, 10**5])
def test_parts_nested_too_deep_are_refused(depth, small):
    path = small("graphs", 0, "in_tree", to="DEEP")
    with_marks = json.dumps(put(read(path)[0], ("graphs", 0, "in_tree"), "DEEP"))
    deep = '{"tuple": [' * depth + '"*"' + "]}" * depth
    text = with_marks.replace('"DEEP"', deep)
    save_file(read(path)[1], path, metadata={"pullback": text})
    if depth < 200:
        assert load_graph(path).in_tree.num_leaves == 1
        return
    with pytest.raises(FormatError):
        load_graph(path)


def test_as_many_results_as_a_huge_array_has_rows_are_refused(tmp_path):
    path = tmp_path / "graph"
    save_graph(pb.trace(lambda x: OPS["unstack"](x), X), path)
    rewrite(path, put(read(path)[0], (*NODES, 0, "type"), ["float64", [2**40]]), {})
    with pytest.raises(FormatError, match="unstack"):
        load_graph(path)


def test_weights_are_no_graph(tmp_path):
    pb.interchange.save_weights({"a": X}, tmp_path / "w")
    with pytest.raises(FormatError, match="expected a file of graph"):
        load_graph(tmp_path / "w")
