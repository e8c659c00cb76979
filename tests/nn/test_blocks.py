"""Embeddings, modules made of modules, and whole networks."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.core.errors import ConfigError, DataError, DTypeError, ShapeError

KEY = pb.random.key(0)
RNG = np.random.default_rng(0)


def test_an_embedding_and_its_gradient_are_those_of_torch(torch):
    table, indices = RNG.normal(size=(5, 3)), np.array([[1, 4, 1], [0, 2, 2]])
    ct = RNG.normal(size=(2, 3, 3))
    for padding in (None, 2):
        layer = nn.Embedding(np.where(np.arange(5)[:, None] == padding, 0, table), padding)
        module = torch.nn.Embedding.from_pretrained(
            torch.tensor(layer.weight), freeze=False, padding_idx=padding
        )
        expected = module(torch.tensor(indices))
        expected.backward(torch.tensor(ct))
        y, pull = pb.vjp(lambda layer: layer(indices), layer)
        np.testing.assert_array_equal(y, expected.detach())
        np.testing.assert_allclose(pull(ct)[0].weight, module.weight.grad, rtol=1e-14)
        np.testing.assert_array_equal(pb.compile(layer)(indices), y)
        np.testing.assert_array_equal(pb.vmap(layer)(indices), y)
    pb.check_grads(lambda layer: np.sin(layer(indices)), (layer,), order=2)


def test_bilinear_is_that_of_torch(torch):
    layer = nn.Bilinear(RNG.normal(size=(3, 2, 4)), RNG.normal(size=4))
    x, z = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    module = torch.nn.Bilinear(3, 2, 4, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(np.moveaxis(layer.weight, -1, 0).copy()))
        module.bias.copy_(torch.tensor(layer.bias))
    expected = module(torch.tensor(x), torch.tensor(z)).detach()
    np.testing.assert_allclose(layer(x, z), expected, rtol=1e-12)
    pb.check_grads(lambda layer, x, z: layer(x, z), (layer, x, z), order=2)
    np.testing.assert_allclose(pb.compile(layer)(x, z), expected, rtol=1e-12)


def test_residual_and_parallel_are_their_formulas():
    x = RNG.normal(size=(4, 3))
    a, b = (nn.Linear(RNG.normal(size=(3, 3))) for _ in range(2))
    np.testing.assert_allclose(nn.Residual(a)(x), x + a(x))
    np.testing.assert_allclose(nn.Residual(a, b)(x), b(x) + a(x))
    np.testing.assert_allclose(nn.Parallel([a, b])(x), np.hstack([a(x), b(x)]))
    np.testing.assert_allclose(nn.Parallel([a, b], "sum")(x), a(x) + b(x))
    assert [y.shape for y in nn.Parallel([a, b], "list")(x)] == [(4, 3)] * 2


def test_what_is_frozen_neither_learns_nor_changes_its_state():
    backbone = nn.Sequential([nn.Linear.create(KEY, 3, 4), nn.BatchNorm.create(4)])
    model = nn.Sequential(
        [nn.Frozen(backbone), nn.Dropout.create(KEY), nn.Linear.create(KEY, 4, 1)]
    )
    x = RNG.normal(size=(32, 3)).astype(np.float32)
    trainer = pb.train.Trainer(model, "mean_squared_error", optim.adamw(0.1), l2=0.1)
    trainer.fit(pb.train.Dataset(x, x[:, :1]), epochs=2, batch_size=8)
    before, after = pb.tree.leaves(model[0]), pb.tree.leaves(trainer.model[0])
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert (trainer.model[2].weight != model[2].weight).any()
    np.testing.assert_array_equal(nn.training_call(model[0], x)[0], backbone(x))


def test_a_small_resnet_trains_compiled():
    model = nn.resnet(KEY, 3, inputs=1, widths=(4, 8), blocks=1)
    images = RNG.normal(size=(24, 8, 8, 1)).astype(np.float32)
    labels = np.arange(24) % 3
    images[labels == 1, :4] += 2
    images[labels == 2, :, :4] += 2
    trainer = pb.train.Trainer(model, "softmax_cross_entropy", optim.adam(1e-2))
    history = trainer.fit(pb.train.Dataset(images, labels), epochs=6, batch_size=12)
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_a_small_gpt_learns_to_count():
    model = nn.gpt(KEY, 5, 8, features=16, heads=2, layers=1)
    tokens = (np.arange(8) + np.arange(20)[:, None]) % 5
    step = pb.train.step.make_step(nn.softmax_cross_entropy, optim.adam(1e-2))
    compiled = pb.compile(step)
    state = optim.adam(1e-2).init(nn.partition(model)[0])
    losses = []
    for _ in range(30):
        model, state, loss = compiled(model, state, tokens, (tokens + 1) % 5)
        losses.append(float(loss))
    assert losses[-1] < 0.2 < losses[0]


def test_derivatives_of_a_residual_block_to_second_order():
    block = pb.tree.map(
        lambda leaf: RNG.normal(size=leaf.shape) * 0.5 + 1, nn.resnet_block(KEY, 2, 3, 2)
    )
    x = RNG.normal(size=(2, 4, 4, 2))
    parameters, state = nn.partition(block)

    def f(parameters, x):
        return np.sum(np.sin(nn.training_call(nn.combine(parameters, state), x)[0]))

    pb.check_grads(f, (parameters, x), order=2, atol=1e-3, rtol=1e-3)
    expected = pb.tree.leaves(pb.grad(f)(parameters, x))
    for a, b in zip(pb.tree.leaves(pb.compile(pb.grad(f))(parameters, x)), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding.create(KEY, 4, 2)(np.array([4])), DataError, "0 to 3, got 4 to 4"),
        (lambda: nn.Embedding.create(KEY, 4, 2)(np.array([-1])), DataError, "got -1 to -1"),
        (lambda: nn.Embedding.create(KEY, 4, 2)(np.ones(2)), DTypeError, "expected integers"),
        (lambda: nn.Positions.create(KEY, 4, 2)(np.ones((5, 2))), ShapeError, "time up to 4"),
        (lambda: nn.Flatten()(np.ones(3)), ShapeError, r"Flatten: x: expected shape \(n, \.\.\.\)"),
        (lambda: nn.Reshape((2, 3))(np.ones((4, 5))), ShapeError, "6 entries in each sample"),
        (lambda: nn.Residual(nn.Linear(np.ones((3, 2))))(np.ones((1, 3))), ShapeError, "shortcut"),
        (lambda: nn.Residual(nn.Linear(np.ones((3, 2))))(np.ones((1, 4))), ShapeError,
         r"inner: Linear\(3 -> 2\)"),
        (lambda: nn.Parallel([nn.Linear(np.ones((3, 2)))])(np.ones((1, 4))), ShapeError,
         r"branches\[0\]: Linear\(3 -> 2\)"),
        (lambda: nn.Parallel([], "product"), ConfigError, "join: expected 'concatenate'"),
        (lambda: nn.Bilinear(np.ones((2, 2, 1)), None)(np.ones((1, 2)), np.ones((1, 3))),
         ShapeError, r"Bilinear\(2, 2\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
