"""Training steps of networks for sequences: an LSTM and a small GPT, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

import pullback as pb
from pullback.bench.steps import RATE, step_of, torch_step_of
from pullback.bench.timing import OURS, Run, Task

BATCH, TIME, UNITS, LAYERS = 32, 100, 128, 2
TEXTS, CONTEXT, VOCABULARY, BLOCKS, WIDTH, HEADS = 16, 128, 65, 4, 128, 4


def make_lstm() -> tuple[Any, Any, Any]:
    """Return an LSTM, inputs and targets."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(2, BATCH, TIME, UNITS)).astype(np.float32)
    return pb.nn.LSTM.create(pb.random.key(0), UNITS, UNITS, layers=LAYERS), x, t


def lstm() -> Run:
    """Return a step of our LSTM."""
    loss = pb.nn.losses.mean_squared_error
    return step_of(lambda model, x, t: loss(model(x), t), *make_lstm())


def torch_lstm() -> Run:
    """Return a step of PyTorch's, with the same weights and one bias a cell as ours."""
    import torch

    model, x, t = make_lstm()
    peer = torch.nn.LSTM(UNITS, UNITS, LAYERS, batch_first=True)
    for i, (cell,) in enumerate(model.cells):
        taken = {"weight_ih": cell.weight_input.T, "weight_hh": cell.weight_hidden.T}
        taken |= {"bias_ih": cell.bias, "bias_hh": np.zeros_like(cell.bias)}
        for name, weight in taken.items():
            getattr(peer, f"{name}_l{i}").data = torch.tensor(weight)
        getattr(peer, f"bias_hh_l{i}").requires_grad = False
    inputs, targets = torch.tensor(x), torch.tensor(t)
    loss = torch.nn.functional.mse_loss
    moving = [p for p in peer.parameters() if p.requires_grad]
    return torch_step_of(torch.optim.SGD(moving, RATE), lambda: loss(peer(inputs)[0], targets))


def make_gpt() -> tuple[Any, Any, Any]:
    """Return a GPT, texts, and the characters that follow."""
    x, t = np.random.default_rng(0).integers(0, VOCABULARY, (2, TEXTS, CONTEXT))
    model = pb.nn.gpt(
        pb.random.key(0), VOCABULARY, CONTEXT, features=WIDTH, heads=HEADS, layers=BLOCKS
    )
    return model, x, t


def gpt() -> Run:
    """Return a step of our GPT."""
    loss = pb.nn.losses.softmax_cross_entropy
    return step_of(lambda model, x, t: loss(model(x), t), *make_gpt())


def torch_gpt() -> Run:
    """Return a step of the same network in PyTorch, by its fused attention."""
    import torch
    from torch.nn import functional

    model, x, t = make_gpt()
    weights, structure = pb.tree.flatten(model)
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    tokens, labels = torch.tensor(x), torch.tensor(t.ravel())

    def linear(layer: Any, x: Any) -> Any:
        return functional.linear(x, layer.weight.T, layer.bias)

    def norm(layer: Any, x: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], layer.weight, layer.bias)

    def attend(layer: Any, x: Any) -> Any:
        query, key, value = (
            linear(part, x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (layer.query, layer.key, layer.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return linear(layer.output, mixed.transpose(1, 2).flatten(2))

    layers = pb.tree.unflatten(structure, parameters).layers
    table, places, *blocks, last, head = layers

    def loss() -> Any:
        x = functional.embedding(tokens, table.weight) + places.weight
        for block in blocks:
            x = x + attend(block.attention, norm(block.norm_attention, x))
            wide, _, narrow = block.network.layers
            h = functional.gelu(linear(wide, norm(block.norm_network, x)))
            x = x + linear(narrow, h)
        outputs = linear(head, norm(last, x))
        return functional.cross_entropy(outputs.flatten(0, 1), labels)

    return torch_step_of(torch.optim.SGD(parameters, RATE), loss)


TASKS = (
    Task(
        "lstm",
        f"SGD step of an LSTM, {LAYERS} x {UNITS}, sequence {TIME}, batch {BATCH}, float32",
        {OURS: lstm, "torch eager": torch_lstm},
        flops=2 * BATCH * TIME * (3 * LAYERS * 2 - 1) * UNITS * 4 * UNITS,
    ),
    Task(
        "gpt",
        f"SGD step of a GPT, {BLOCKS} blocks of 128, context {CONTEXT}, batch {TEXTS}, float32",
        {OURS: gpt, "torch eager": torch_gpt},
        flops=3 * 2 * TEXTS * CONTEXT * (BLOCKS * (12 * WIDTH + CONTEXT) + VOCABULARY) * WIDTH,
    ),
)
