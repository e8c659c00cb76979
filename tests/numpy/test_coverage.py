"""The table of NumPy's functions is true: each has a status, and does what its status says."""

from pathlib import Path

import numpy as np
import numpy_examples as examples
import pytest

import pullback as pb
from pullback.numpy import coverage

ROOT = Path(__file__).parents[2]


def key(entry, name):
    return f"{entry.namespace}.{name}".removeprefix("numpy.")


def with_status(status):
    return [e for e in coverage.coverage() if e.status == status]


def example(entry, table):
    found = [table[key(entry, n)] for n in entry.names if key(entry, n) in table]
    assert found, f"{entry.namespace}.{entry.names[0]} is {entry.status}, but has no example call"
    return found[0]


def flat(out):
    """All numbers of the results as one array, so that one cotangent fits all."""
    parts = out if isinstance(out, (tuple, list)) else [out]
    parts = [p for part in parts for p in (part if isinstance(part, (tuple, list)) else [part])]
    return np.concatenate([np.ravel(p) for p in parts])


@pytest.mark.parametrize("entry", with_status("differentiable"), ids=lambda e: key(e, e.names[0]))
def test_what_is_called_differentiable_has_a_right_derivative(entry):
    function, *args = example(entry, examples.DIFFERENTIABLE)

    def numbers(*args):
        return flat(function(*args))

    out, pull = pb.vjp(numbers, *args)
    expected = numbers(*args)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)
    assert out.dtype == expected.dtype
    assert any(np.any(g != 0) for g in pull(np.arange(1, out.size + 1).astype(out.dtype)))
    pb.check_grads(numbers, args, order=2, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    "entry", with_status("piecewise constant"), ids=lambda e: key(e, e.names[0])
)
def test_what_is_called_piecewise_constant_has_no_gradient(entry):
    function, *args = example(entry, examples.CONSTANT)

    def numbers(*args):
        return flat(function(*args)) * 1.0 + 0 * args[0].ravel()[0]

    out, pull = pb.vjp(numbers, *args)
    np.testing.assert_array_equal(out, numbers(*args))
    assert not any(np.any(g) for g in pull(np.ones_like(out)))


BOTH = {**examples.DIFFERENTIABLE, **examples.CONSTANT}


@pytest.mark.parametrize("name", sorted(BOTH.keys() - examples.VALUES_NEEDED))
def test_a_function_runs_in_a_graph_and_under_vmap(name):
    function, *args = BOTH[name]

    def numbers(*args):
        return flat(function(*args))

    expected = numbers(*args)
    np.testing.assert_allclose(pb.trace(numbers, *args)(*args), expected, rtol=1e-12, atol=1e-13)
    together = pb.vmap(numbers)(*[np.stack([a, a]) for a in args])
    np.testing.assert_allclose(together, [expected, expected], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(examples.VALUES_NEEDED))
def test_a_function_that_needs_values_says_so_in_a_graph(name):
    function, *args = BOTH[name]
    with pytest.raises(pb.errors.TracerError, match=r"needs a concrete number"):
        pb.trace(lambda *args: flat(function(*args)), *args)


@pytest.mark.parametrize("name", ["ascontiguousarray", "require", "isfortran", "shares_memory"])
def test_what_is_not_supported_is_an_error_and_not_a_constant(name):
    args = [np.ones(2)] if name == "shares_memory" else []
    with pytest.raises((pb.errors.NotDifferentiableError, pb.errors.TracerError, AttributeError)):
        pb.grad(lambda x: np.sum(getattr(np, name)(x, *args) * 1.0))(np.ones(2))


def test_a_function_without_rule_and_reason_is_found(monkeypatch):
    monkeypatch.setattr(np, "brand_new", lambda x: x, raising=False)
    with pytest.raises(LookupError, match=r"neither implemented nor .* numpy\.brand_new"):
        coverage.coverage()


def test_every_name_in_the_lists_is_a_function_of_numpy_with_that_status():
    names = {n for e in coverage.coverage() for n in e.names}
    for listed in (coverage.CONSTANT, coverage.ASKS_OR_CREATES, coverage.NOT_SUPPORTED):
        assert set(listed) <= names


def test_the_page_holds_the_table_of_the_numpy_it_names():
    page = (ROOT / "docs" / "numpy.md").read_text()
    version = ".".join(np.__version__.split(".")[:2])
    if f"## NumPy {version}\n" not in page:
        pytest.skip(f"docs/numpy.md was generated with another NumPy than {version}")
    assert page.endswith(coverage.table())


def test_write_replaces_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"head\n{coverage.MARK}old")
    coverage.write(page)
    assert page.read_text().startswith(f"head\n{coverage.MARK}\n## NumPy ")
    assert page.read_text().endswith(coverage.table())
    page.write_text("no mark")
    with pytest.raises(ValueError, match="expected a page with the line"):
        coverage.write(page)
