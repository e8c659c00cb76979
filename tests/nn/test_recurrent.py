"""Recurrent layers: those of PyTorch, with several layers, both directions and lengths."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, DataError, ShapeError

KEY = pb.random.key(0)
KINDS = ["RNN", "LSTM", "GRU"]
LENGTHS = np.array([5, 2, 4])


def drawn(model, rng):
    return pb.tree.map(lambda leaf: rng.normal(size=leaf.shape) * 0.5, model)


def made(kind, rng, **options):
    return drawn(getattr(nn, kind).create(KEY, 3, 4, **options), rng)


def of_torch(torch, model):
    """PyTorch's model with the weights of ours, gates first as it has them."""
    kind, first = type(model).__name__, model.cells[0][0]
    hidden = first.weight_hidden.shape[0]
    module = getattr(torch.nn, kind)(
        first.weight_input.shape[0], hidden, len(model.cells), batch_first=True,
        bidirectional=len(model.cells[0]) == 2, dtype=torch.float64,
    )  # fmt: skip
    with torch.no_grad():
        for i, cells in enumerate(model.cells):
            for cell, end in zip(cells, ("", "_reverse"), strict=False):
                other = np.zeros_like(cell.bias)
                if kind == "GRU":
                    other[2 * hidden :] = cell.bias_hidden
                for name, value in (
                    ("weight_ih", cell.weight_input.T), ("weight_hh", cell.weight_hidden.T),
                    ("bias_ih", cell.bias), ("bias_hh", other),
                ):  # fmt: skip
                    getattr(module, f"{name}_l{i}{end}").copy_(torch.tensor(value.copy()))
    return module


@pytest.mark.parametrize("options", [{}, {"layers": 2}, {"layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_outputs_states_and_gradients_are_those_of_torch(torch, kind, options, lengths):
    rng = np.random.default_rng(0)
    model, x = made(kind, rng, **options), rng.normal(size=(3, 5, 3))
    outputs, states = model.run(x, lengths=lengths)
    module = of_torch(torch, model)
    leaf = torch.tensor(x, requires_grad=True)
    given = leaf
    if lengths is not None:
        pack = torch.nn.utils.rnn.pack_padded_sequence
        given = pack(leaf, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected, final = module(given)
    if lengths is not None:
        expected, _ = torch.nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    np.testing.assert_allclose(outputs, expected.detach(), rtol=1e-11, atol=1e-13)
    final = final if isinstance(final, tuple) else (final,)
    for k, their_state in enumerate(final):
        ours = np.stack([state[k] for cells in states for state in cells])
        np.testing.assert_allclose(ours, their_state.detach(), rtol=1e-11, atol=1e-13)

    ct = rng.normal(size=outputs.shape)
    expected.backward(torch.tensor(ct))
    gradient, dx = pb.grad(lambda m, x: np.sum(ct * m(x, lengths)), (0, 1))(model, x)
    np.testing.assert_allclose(dx, leaf.grad, rtol=1e-9, atol=1e-12)
    for i, cells in enumerate(gradient.cells):
        for cell, end in zip(cells, ("", "_reverse"), strict=False):
            for name, found in (
                ("weight_ih", cell.weight_input.T), ("weight_hh", cell.weight_hidden.T),
                ("bias_ih", cell.bias),
            ):  # fmt: skip
                wanted = getattr(module, f"{name}_l{i}{end}").grad
                np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_to_second_order_tracing_vmap_and_machine_code_agree(kind):
    rng = np.random.default_rng(1)
    model, x = made(kind, rng, bidirectional=True), rng.normal(size=(3, 4, 3))
    lengths = np.array([4, 1, 3])

    def f(model, x):
        return np.sum(np.sin(model(x, lengths)))

    pb.check_grads(f, (model, x), order=2, atol=1e-4, rtol=1e-4)
    expected = pb.tree.leaves(pb.grad(f, (0, 1))(model, x))
    for other in (pb.trace(pb.grad(f, (0, 1)), model, x), pb.compile(pb.grad(f, (0, 1)))):
        for a, b in zip(pb.tree.leaves(other(model, x)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    singles = pb.vmap(lambda x, n: model(x, n))(x, lengths)
    np.testing.assert_allclose(singles, model(x, lengths), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_the_end_changes_nothing(kind):
    rng = np.random.default_rng(2)
    model = made(kind, rng, layers=2, bidirectional=True)
    x = rng.normal(size=(3, 5, 3))
    other = np.where(np.arange(5)[:, None] < LENGTHS[:, None, None], x, 1e3)
    np.testing.assert_array_equal(model(x, LENGTHS), model(other, LENGTHS))
    last = nn.replace(model, returns="last")
    for i, n in enumerate(LENGTHS):
        np.testing.assert_allclose(last(x, LENGTHS)[i], last(x[i, :n]), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_parts_is_the_whole(kind):
    rng = np.random.default_rng(3)
    model, x = made(kind, rng, layers=2), rng.normal(size=(2, 6, 3))
    first, states = model.run(x[:, :4])
    second, _ = model.run(x[:, 4:], states)
    np.testing.assert_allclose(np.concatenate([first, second], 1), model(x), rtol=1e-12)
    cell = model.cells[0][0]
    state = cell(x[:, 0], cell.start(cell.project(x)))
    np.testing.assert_allclose(state[0], nn.replace(model, cells=model.cells[:1])(x)[:, 0])


def test_the_loop_over_time_is_one_operation():
    model = nn.LSTM.create(KEY, 3, 4)
    graph = pb.trace(model, np.ones((2, 50, 3), np.float32))
    assert len(graph.nodes) < 30


def test_dropout_between_layers_in_training_only():
    model = nn.GRU.create(KEY, 3, 16, layers=3, dropout=0.5)
    x = np.ones((1, 4, 3), np.float32)
    assert len(model.dropouts) == 2
    y, after = nn.training_call(model, x)
    assert (y != model(x)).any()
    assert (nn.training_call(after, x)[0] != y).any()


def test_what_does_not_fit_is_named():
    model = nn.LSTM.create(KEY, 3, 4)
    with pytest.raises(ShapeError, match=r"LSTM\(3 -> 4\): x: expected shape \(n, time, 3\)"):
        model(np.ones((2, 5, 4)))
    with pytest.raises(ShapeError, match=r"lengths: expected integers of shape \(2,\)"):
        model(np.ones((2, 5, 3)), np.array([1.0, 2.0]))
    with pytest.raises(DataError, match=r"lengths: expected 1 to 5, .* got 0 to 9"):
        model(np.ones((2, 5, 3)), np.array([0, 9]))
    with pytest.raises(ConfigError, match="returns: expected 'sequence' or 'last'"):
        nn.LSTM.create(KEY, 3, 4, returns="all")
    with pytest.raises(ConfigError, match="hidden: expected a whole number of 1 or more"):
        nn.GRU.create(KEY, 3, 0)
