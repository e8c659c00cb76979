"""Matrix products in tiles, whatever their sizes, memory orders and readers, and in portions."""

import ctypes
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native import blocks, team, tiles
from pullback.native.engine import Compilation, Loaded
from pullback.native.program import NativeProgram, _Frame
from pullback.native.steps import Tiles
from pullback.native.tiling import best_tile, tiling

SIZES = st.sampled_from([1, 2, 3, 7, 12, 13, 14, 15, 16, 17, 26, 27, 31, 32, 33, 47, 64, 65, 97])
EDGES = [
    (1, 40, 40),
    (40, 1, 40),
    (40, 40, 1),
    (13, 16, 32),
    (14, 17, 33),
    (27, 33, 15),
    (1, 700, 1),
]


def operands(m, k, n, form, dtype, batch=()):
    """Random matrices whose memory is transposed where the form says T."""
    rng = np.random.default_rng(m + 100 * k + 10000 * n)
    a = rng.normal(size=(*batch, k, m) if form[0] == "T" else (*batch, m, k))
    b = rng.normal(size=(*batch, n, k) if form[1] == "T" else (*batch, k, n))
    return a.astype(dtype), b.astype(dtype)


def product(a, b, form):
    return (a.mT if form[0] == "T" else a) @ (b.mT if form[1] == "T" else b)


def close(found, wanted, k):
    tolerance = 4e-7 if wanted.dtype == np.float32 else 1e-15
    np.testing.assert_allclose(found, wanted, rtol=50 * tolerance, atol=20 * tolerance * k)


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
@settings(max_examples=12)
@given(SIZES, SIZES, SIZES, st.sampled_from(["f4", "f8"]))
def test_products_of_all_sizes_and_orders(form, m, k, n, dtype):
    a, b = operands(m, k, n, form, dtype)
    compiled = pb.compile(lambda a, b: product(a, b, form))
    wanted = product(a.astype("f8"), b.astype("f8"), form).astype(dtype)
    close(compiled(a, b), wanted, k)


def readers(a, b, bias, other, form):
    """Several kinds of readers: by element, over rows, over columns, over all, of views."""
    y = product(a, b, form)
    z = np.tanh(y + bias) * other
    return z, z.sum(axis=0), y.max(axis=1), (y > 0).sum(), np.where(other > 0, y, other.T.sum())


@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
@pytest.mark.parametrize("size", EDGES)
def test_what_reads_a_product_gets_every_element_once(form, size):
    m, k, n = size
    a, b = operands(m, k, n, form, "f8")
    rng = np.random.default_rng(0)
    bias, other = rng.normal(size=n), rng.normal(size=(m, n))
    compiled = pb.compile(lambda *x: readers(*x, form))
    for found, wanted in zip(
        compiled(a, b, bias, other), readers(a, b, bias, other, form), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
def test_batches_of_products_with_readers(form):
    a, b = operands(33, 20, 18, form, "f4", batch=(2, 3))
    shift = np.arange(3, dtype="f4").reshape(3, 1, 1)

    def f(a, b, shift):
        y = product(a, b, form) + shift
        return y, y.sum(axis=(0, 2)), y.max(axis=(1, 2))

    compiled = pb.compile(f)
    for found, wanted in zip(compiled(a, b, shift), f(a, b, shift), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)
    assert any(isinstance(s, Tiles) for s in compiled._last.steps)


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
def test_one_bad_row_or_column_stays_where_it_is(form):
    a, b = operands(30, 37, 41, form, "f4")
    (a if form[0] == "N" else a.T)[7, 3] = np.nan
    (b if form[1] == "N" else b.T)[5, 40] = np.inf
    found = pb.compile(lambda a, b: product(a, b, form) + 1)(a, b)
    with np.errstate(invalid="ignore"):
        wanted = product(a.astype("f8"), b.astype("f8"), form) + 1
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
    good = np.isfinite(wanted)
    np.testing.assert_allclose(found[good], wanted[good], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(0, 5, 5), (5, 0, 5), (5, 5, 0), (0, 0, 0)])
def test_products_of_nothing(shape):
    m, k, n = shape
    found = pb.compile(lambda a, b: a @ b + 1)(np.ones((m, k)), np.ones((k, n)))
    np.testing.assert_array_equal(found, np.ones((m, n)))


def in_portions(graph, arrays):
    """Run a graph with each portion of each product apart, the last one first."""
    program = NativeProgram(graph)

    def apart(call):
        head, count = call.group(1), int(call.group(2))
        return "\n".join(f"{head}, i64 {k}, i64 {k + 1})" for k in reversed(range(count)))

    text, found = re.subn(r"( *call void @step\d+\(.*), i64 0, i64 (\d+)\)", apart, program.llvm)
    assert found
    code = Loaded(Compilation(text).object_file())
    program.whole = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("run0"))
    return _Frame(program).run(program, tuple(arrays), converted=True)


@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
@pytest.mark.parametrize("size", [(200, 30, 20), (20, 30, 200), (40, 24, 200), (130, 33, 140)])
def test_portions_of_a_product_do_not_depend_on_each_other(form, size):
    a, b = operands(*size, form, "f4")
    for reader in (
        lambda y: y + 1,
        lambda y: (y, y.sum(axis=0)),
        lambda y: (y, y.max(axis=1)),
    ):
        graph = pb.trace(lambda a, b, reader=reader: reader(product(a, b, form)), a, b)
        wanted = NativeProgram(graph)([a, b])
        for x, y in zip(in_portions(graph, [a, b]), wanted, strict=True):
            np.testing.assert_array_equal(x, y)


def test_large_products_fall_into_portions():
    a, b = operands(200, 30, 200, "NN", "f4")
    (step,) = NativeProgram(pb.trace(lambda a, b: a @ b, a, b)).steps
    assert tiling(step).portions > 4


def test_portions_of_a_batch_do_not_depend_on_each_other():
    a, b = operands(40, 20, 30, "NN", "f4", batch=(9,))
    graph = pb.trace(lambda a, b: a @ b + 1, a, b)
    np.testing.assert_array_equal(in_portions(graph, [a, b])[0], NativeProgram(graph)([a, b])[0])


@pytest.mark.parametrize("m", [1, 2, 5, 10, 13, 64, 784])
@pytest.mark.parametrize("vectors", [1, 2, 3, 5, 8, 32])
@pytest.mark.parametrize("registers", [15, 30])
def test_tiles_fit_into_the_registers(m, vectors, registers):
    rows, wide = best_tile(m, vectors, 100, registers)
    assert 1 <= rows <= m
    assert 1 <= wide <= vectors
    assert rows * wide + wide + 1 <= registers


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
def test_large_products_are_packed_and_cut(form):
    a, b = operands(520, 1000, 1030, form, "f4")

    def f(a, b):
        y = product(a, b, form)
        return y, (y * 2).sum(axis=0)

    graph = pb.trace(f, a, b)
    program = NativeProgram(graph)
    assert sum(isinstance(s, Tiles) for s in program.steps) > 1
    wanted = f(a.astype("f8"), b.astype("f8"))
    for found in program([a, b]), in_portions(graph, [a, b]):
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize(("k", "pieces"), [(4096, 1), (4097, 2), (30_000, 8), (200_000, 0)])
def test_long_sums_are_cut_so_that_digits_stay(k, pieces):
    rng = np.random.default_rng(0)
    a, b = rng.random((k, 9), np.float32), rng.random((k, 17), np.float32)
    run = pb.compile(lambda a, b: a.T @ b)
    np.testing.assert_allclose(run(a, b), a.astype(float).T @ b, rtol=1e-5)
    assert run.loops.count(" over ") == pieces  # the longest one is a library's


@pytest.mark.parametrize("threads", [1, 2])
def test_what_reads_a_cut_sum_sees_it_whole_and_may_take_the_place_of_a_factor(
    threads, monkeypatch
):
    monkeypatch.setattr(blocks, "LONGEST_CHAIN", 4)
    monkeypatch.setattr(team, "SHARED_EFFORT", 0)
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(17, 17)), rng.normal(size=(17, 5)), rng.normal(size=(17, 5))

    def f(a, b, w):
        p = a @ b
        return w - np.tanh(p), p, p.sum(axis=0), np.max(p, axis=1)

    run = pb.compile(f, threads=threads, donate_argnums=(1, 2))
    for found, wanted in zip(run(a, b.copy(), w.copy()), f(a, b, w), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    assert run.loops.count(" over ") == 5


@pytest.mark.parametrize("largest", [0, 10_000])
@pytest.mark.parametrize("m", [1, 2, 5, 8, 23])
@pytest.mark.parametrize("n", [1, 3, 17, 25])
def test_rows_come_in_any_order_written_out_or_in_a_loop(largest, m, n, monkeypatch):
    monkeypatch.setattr(tiles, "LARGEST_UNROLLED", largest)
    a, b = operands(m, 6, n, "NN", "f8")

    def f(a, b):
        y = np.tanh(a @ b)
        return y, y.sum(axis=0), np.max(y, axis=1)

    for found, wanted in zip(pb.compile(f)(a, b), f(a, b), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
