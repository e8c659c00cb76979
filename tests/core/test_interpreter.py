"""Planned execution gives what node-by-node evaluation gives, and never shares its buffers."""

import threading
import weakref

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
from pullback.core.interpreter import Program

SIZE = 600  # large enough for buffers
STEPS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "tanh": lambda a, b: np.tanh(a),
    "view": lambda a, b: np.reshape(np.reshape(a, (-1, 2)), (-1,)),
    "reverse": lambda a, b: a[::-1],
    "scale": lambda a, b: 0.5 * a,
    "max": lambda a, b: np.maximum(a, b),
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.integers(0, 50), min_size=1, max_size=3),
)
def test_planned_equals_node_by_node_for_random_programs(steps, picks):
    def f(x, y):
        values = [x, y]
        for name, i, j in steps:
            values.append(STEPS[name](values[i % len(values)], values[j % len(values)]))
        return [values[p % len(values)] for p in picks]

    aval = pb.Aval((SIZE,), "f8")
    graph = pb.trace(f, aval, aval)
    rng = np.random.default_rng(0)
    args = [rng.normal(size=SIZE), rng.normal(size=SIZE)]
    values = graph.evaluate(args)
    for _ in range(2):
        for found, node in zip(graph(*args), graph.results, strict=True):
            np.testing.assert_array_equal(found, values[node])


def chain(x):
    for _ in range(10):
        x = np.tanh(x) * 0.5 + 1.0
    return x


def test_temporaries_share_one_buffer_along_a_chain():
    program = Program(pb.trace(chain, pb.Aval((SIZE,), "f8")))
    assert program._plan.arena_bytes == SIZE * 8


def test_results_of_two_calls_do_not_share_memory():
    graph = pb.trace(chain, pb.Aval((SIZE,), "f8"))
    first = graph(np.zeros(SIZE))
    copy = first.copy()
    graph(np.ones(SIZE))
    np.testing.assert_array_equal(first, copy)


def test_a_view_of_a_temporary_survives_as_a_result():
    def f(x):
        y = x * 2.0
        view = np.reshape(y, (2, -1))
        return view, np.tanh(x + 1.0) * 3.0

    graph = pb.trace(f, pb.Aval((SIZE,), "f8"))
    x = np.linspace(0, 1, SIZE)
    view, _ = graph(x)
    graph(np.zeros(SIZE))
    np.testing.assert_array_equal(view, (x * 2.0).reshape(2, -1))


def test_one_graph_serves_several_threads():
    graph = pb.trace(chain, pb.Aval((SIZE,), "f8"))
    expected = {k: chain(np.full(SIZE, float(k))) for k in range(8)}
    wrong = []

    def work(k):
        for _ in range(50):
            if not np.array_equal(graph(np.full(SIZE, float(k))), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in expected]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_graph_that_is_dropped_frees_its_constants_and_buffers(uncollected):
    table = np.ones((60, 60))
    graph = pb.trace(lambda x: np.tanh(np.tanh(x @ table)), table)
    graph(table)
    (constant,) = [node.value for node in graph.constants]
    held = weakref.ref(constant), weakref.ref(graph.program._pool[0][0])
    del graph, constant
    assert [x() for x in held] == [None, None]
