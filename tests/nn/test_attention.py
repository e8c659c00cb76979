"""Attention and transformer blocks: those of PyTorch; masks, lengths, rotary positions."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, ShapeError

KEY = pb.random.key(0)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def drawn(model, rng):
    def draw(leaf):
        return rng.normal(size=leaf.shape) * 0.5 if leaf.dtype.kind == "f" else leaf

    return pb.tree.map(draw, model)


def fill(torch, module, ours, output):
    """Give PyTorch's attention the weights of ours."""
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.tensor(np.concatenate([p.weight.T for p in parts])))
        module.in_proj_bias.copy_(torch.tensor(np.concatenate([p.bias for p in parts])))
        module.out_proj.weight.copy_(torch.tensor(output.weight.T.copy()))
        module.out_proj.bias.copy_(torch.tensor(output.bias))


@pytest.mark.parametrize("case", ["plain", "causal", "mask", "added", "lengths", "context"])
def test_values_and_gradients_are_those_of_torch(torch, case):
    rng = np.random.default_rng(0)
    layer = drawn(nn.MultiHeadAttention.create(KEY, 8, 2, causal=case == "causal"), rng)
    x = rng.normal(size=(3, 5, 8))
    context = rng.normal(size=(3, 4, 8)) if case == "context" else x
    ours, theirs = {}, {}
    if case == "mask":
        allowed = rng.random((5, 5)) < 0.6
        np.fill_diagonal(allowed, True)
        ours, theirs = {"mask": allowed}, {"attn_mask": torch.tensor(~allowed)}
    if case == "added":
        bias = rng.normal(size=(5, 5))
        ours, theirs = {"mask": bias}, {"attn_mask": torch.tensor(bias)}
    if case == "causal":
        theirs = {"attn_mask": torch.tensor(~np.tri(5, dtype=bool))}
    if case == "lengths":
        lengths = np.array([5, 2, 3])
        ours = {"lengths": lengths}
        theirs = {"key_padding_mask": torch.tensor(np.arange(5) >= lengths[:, None])}
    module = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    fill(torch, module, layer, layer.output)
    leaf = torch.tensor(x, requires_grad=True)
    other = torch.tensor(context) if case == "context" else leaf
    expected, _ = module(leaf, other, other, need_weights=False, **theirs)
    ct = rng.normal(size=expected.shape)
    expected.backward(torch.tensor(ct))

    def f(layer, x):
        return layer(x, context if case == "context" else None, **ours)

    y, pull = pb.vjp(f, layer, x)
    gradient, dx = pull(ct)
    np.testing.assert_allclose(y, expected.detach(), **CLOSE)
    np.testing.assert_allclose(dx, leaf.grad, **CLOSE)
    together = [getattr(gradient, part).weight.T for part in ("query", "key", "value")]
    np.testing.assert_allclose(np.concatenate(together), module.in_proj_weight.grad, **CLOSE)
    np.testing.assert_allclose(gradient.output.bias, module.out_proj.bias.grad, **CLOSE)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_transformer_block_is_the_encoder_layer_of_torch(torch, pre_norm):
    rng = np.random.default_rng(1)
    block = drawn(
        nn.TransformerBlock.create(KEY, 8, 2, hidden=12, pre_norm=pre_norm, activation="relu"), rng
    )
    module = torch.nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, batch_first=True, norm_first=pre_norm, dtype=torch.float64
    )
    fill(torch, module.self_attn, block.attention, block.attention.output)
    with torch.no_grad():
        for theirs, ours in (
            (module.linear1, block.network[0]), (module.linear2, block.network[2]),
            (module.norm1, block.norm_attention), (module.norm2, block.norm_network),
        ):  # fmt: skip
            theirs.weight.copy_(torch.tensor(ours.weight.T.copy()))
            theirs.bias.copy_(torch.tensor(ours.bias))
    x = rng.normal(size=(3, 5, 8))
    leaf = torch.tensor(x, requires_grad=True)
    expected = module(leaf)
    ct = rng.normal(size=expected.shape)
    expected.backward(torch.tensor(ct))
    y, pull = pb.vjp(block, x)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(pull(ct)[0], leaf.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"causal": True, "rotary": True}])
def test_derivatives_to_second_order_tracing_vmap_and_machine_code_agree(options):
    rng = np.random.default_rng(2)
    layer = drawn(nn.MultiHeadAttention.create(KEY, 4, 2, **options), rng)
    x = rng.normal(size=(2, 3, 4))

    def f(layer, x):
        return np.sum(np.sin(layer(x)))

    pb.check_grads(f, (layer, x), order=2, atol=1e-4, rtol=1e-4)
    expected = pb.tree.leaves(pb.grad(f, (0, 1))(layer, x))
    for other in (pb.trace(pb.grad(f, (0, 1)), layer, x), pb.compile(pb.grad(f, (0, 1)))):
        for a, b in zip(pb.tree.leaves(other(layer, x)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(pb.vmap(layer)(x), layer(x), rtol=1e-12)


def test_causal_attention_does_not_see_the_future():
    rng = np.random.default_rng(3)
    model = drawn(nn.gpt(KEY, 11, 6, features=8, heads=2, layers=2), rng)
    tokens = rng.integers(0, 11, (2, 6))
    changed = tokens.copy()
    changed[:, 4:] = (changed[:, 4:] + 1) % 11
    np.testing.assert_allclose(model(tokens)[:, :4], model(changed)[:, :4], rtol=1e-12)
    assert not np.allclose(model(tokens)[:, 4], model(changed)[:, 4])
    np.testing.assert_allclose(model(tokens)[:, :3], model(tokens[:, :3]), rtol=1e-12)


def test_a_query_that_may_look_nowhere_gets_zeros_and_no_nan():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 4))
    mask = np.array([[True, False, True], [False] * 3, [True] * 3])
    y, pull = pb.vjp(lambda x: nn.attention(x, x, x, mask=mask), x)
    assert not y[1].any()
    assert np.isfinite(pull(np.ones_like(y))[0]).all()


def test_rotary_keeps_lengths_and_makes_products_depend_on_distance():
    rng = np.random.default_rng(5)
    q, k = rng.normal(size=(2, 6))
    turned_q, turned_k = (nn.rotary(np.tile(v, (9, 1))) for v in (q, k))
    np.testing.assert_allclose(np.linalg.norm(turned_q, axis=1), np.linalg.norm(q))
    products = turned_q @ turned_k.T
    for distance in range(-3, 4):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-12)
    x = rng.normal(size=(9, 6))
    np.testing.assert_allclose(
        nn.rotary(x, start=2)[:7], nn.rotary(np.pad(x, ((2, 0), (0, 0))))[2:9]
    )
    z = x[:, :3] + 1j * x[:, 3:]
    rates = 10000.0 ** (-np.arange(3) / 3)
    expected = z * np.exp(1j * np.arange(9)[:, None] * rates)
    np.testing.assert_allclose(nn.rotary(x), np.hstack([expected.real, expected.imag]), rtol=1e-12)


def test_dropout_of_weights_and_past_blocks_in_training_only():
    block = nn.TransformerBlock.create(KEY, 8, 2, dropout=0.5)
    x = np.random.default_rng(6).normal(size=(2, 3, 8)).astype(np.float32)
    y, after = nn.training_call(block, x)
    assert (y != block(x)).any()
    keys = pb.tree.leaves(nn.partition(block)[1])
    assert len(keys) == 3
    assert all(
        (a != b).any() for a, b in zip(keys, pb.tree.leaves(nn.partition(after)[1]), strict=True)
    )


def test_what_does_not_fit_is_named():
    layer = nn.MultiHeadAttention.create(KEY, 8, 2)
    with pytest.raises(ShapeError, match=r"query: Linear\(8 -> 8\): x"):
        layer(np.ones((3, 5, 7)))
    with pytest.raises(
        ShapeError, match=r"Attention: mask: expected shape \(5, 5\) or \(3, 5, 5\), got \(4"
    ):
        layer(np.ones((3, 5, 8)), mask=np.ones((4, 5), bool))
    with pytest.raises(ShapeError, match=r"lengths: expected shape \(3,\)"):
        layer(np.ones((3, 5, 8)), lengths=np.array([1, 2]))
    with pytest.raises(ConfigError, match="heads: expected a divisor of 8 features, got 3"):
        nn.MultiHeadAttention.create(KEY, 8, 3)
    with pytest.raises(ConfigError, match="into even parts"):
        nn.MultiHeadAttention.create(KEY, 6, 2, rotary=True)
    with pytest.raises(ShapeError, match="even last axis"):
        nn.rotary(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"query \(\.\.\., t, d\)"):
        nn.attention(np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ShapeError, match=r"layers\[1\]\.norm_attention: LayerNorm"):
        nn.Sequential([nn.Positions(np.ones((4, 7))), nn.TransformerBlock.create(KEY, 8, 2)])(
            np.ones((1, 3, 7))
        )
