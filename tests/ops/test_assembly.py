"""Arrays put together from parts, and grids, as NumPy makes them, with their derivatives."""

import numpy as np
import pytest
from against_numpy import same_value_and_derivatives

import pullback as pb
from pullback.core.errors import ShapeError

RNG = np.random.default_rng(4)
A, B = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 2))
V = RNG.uniform(0.5, 1.5, size=4)


def test_block_joins_nested_lists():
    same_value_and_derivatives(lambda a, b: np.block([[a, b], [b, a]]), A, B)
    same_value_and_derivatives(lambda a, v: np.block([[a], [v[:3]], [np.ones(3)]]), A, V)
    same_value_and_derivatives(lambda v: np.block([v, 2.0]), V)
    same_value_and_derivatives(np.block, V)
    with pytest.raises(ShapeError, match="nested to one depth"):
        pb.grad(lambda a: np.block([[a], a]).sum())(A)


@pytest.mark.parametrize(
    ("place", "values", "axis"),
    [
        (1, 5.0, None),
        (1, [7.0, 8.0], 1),
        (slice(0, 3, 2), 5.0, 1),
        ([0, 2, 2], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], 1),
        ([1], [[7.0], [8.0]], 1),
        (-1, [7.0, 8.0, 9.0], 0),
        (np.array([True, False, True, False, False, False]), 3.0, None),
    ],
)
def test_insert_as_numpy_does(place, values, axis):
    same_value_and_derivatives(lambda a: np.insert(a, place, values, axis), A)
    values = np.asarray(values)
    same_value_and_derivatives(lambda a, v: np.insert(a, place, v, axis), A, values)


def test_resize_repeats_and_cuts_off():
    for shape in (7, (2, 3), 2, (0,), (3, 3)):
        same_value_and_derivatives(lambda v, shape=shape: np.resize(v, shape), V)


def test_unstack_and_dsplit_take_apart():
    same_value_and_derivatives(lambda a: np.unstack(a, axis=1), A)
    same_value_and_derivatives(lambda a: tuple(np.dsplit(a, [1, 3])), RNG.normal(size=(2, 2, 4)))
    with pytest.raises(ShapeError, match="three axes or more"):
        pb.grad(lambda a: np.dsplit(a, 2)[0].sum())(A)


def test_diagflat_and_vander():
    same_value_and_derivatives(lambda a: np.diagflat(a, 1), B)
    for options in ({}, {"N": 3}, {"increasing": True}):
        same_value_and_derivatives(lambda v, options=options: np.vander(v, **options), V)
    same_value_and_derivatives(np.vander, np.array([0.0, 1.0, -2.0]))


def test_meshgrid_in_all_its_forms():
    for options in ({}, {"indexing": "ij"}, {"sparse": True}, {"copy": False}):
        same_value_and_derivatives(lambda *x, options=options: np.meshgrid(*x, **options), V, V[:2])
        same_value_and_derivatives(
            lambda *x, options=options: np.meshgrid(*x, **options), V, V[:2], V[:3]
        )
    same_value_and_derivatives(np.meshgrid, V)
    with pytest.raises(ValueError, match="expected 'xy' or 'ij'"):
        pb.grad(lambda x: np.meshgrid(x, indexing="yx")[0].sum())(V)


@pytest.mark.parametrize("function", [np.linspace, np.logspace, np.geomspace])
def test_sequences_move_with_both_ends(function):
    for options in ({}, {"num": 4}, {"num": 1}, {"num": 3, "endpoint": False}):
        same_value_and_derivatives(lambda a, b, o=options: function(a, b, **o), V[0], 2 * V[1])
    same_value_and_derivatives(lambda a, b: function(a, b, 4, axis=-1), V[:2], V[2:])
    same_value_and_derivatives(lambda a: function(a, [2.0, 3.0], 3), V[:2])


def test_linspace_gives_its_step_and_takes_no_numbers():
    same_value_and_derivatives(lambda a, b: np.linspace(a, b, 5, retstep=True), V[0], V[1])
    same_value_and_derivatives(lambda a, b: np.linspace(a, b, 0), V[0], V[1])
    same_value_and_derivatives(lambda b: np.logspace(0.5, 2.0, 4, base=b), V[0])
    assert pb.vjp(lambda a: np.linspace(a, 2.0, 3), np.float32(1.0))[0].dtype == np.float32
    with pytest.raises(ValueError, match="num: expected 0 or more"):
        pb.grad(lambda a: np.linspace(a, 2.0, -1).sum())(1.0)


def test_geomspace_of_complex_numbers_is_a_spiral():
    same_value_and_derivatives(lambda a, b: np.geomspace(a, b, 4), 1.0 + 0.5j, -2.0 + 1.0j)
    same_value_and_derivatives(lambda a: np.geomspace(a, -8.0, 4), np.float64(-1.0))


def test_ix_selects_a_grid_by_numbers_and_masks():
    def f(a):
        return a[np.ix_(np.argsort(a[:, 0]), a[0] > -10)]

    same_value_and_derivatives(f, A, graph=False)
    with pytest.raises(ShapeError, match="expected sequences"):
        pb.grad(lambda a: np.ix_(a)[0].sum())(A)
