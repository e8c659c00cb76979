"""One Adam step of a LeNet, a small GPT and an LSTM: pullback compiled, and PyTorch eager.

Float32, the same sizes, one process; the rounds are interleaved, so that a noisy machine is noisy
for both. Prints the best round of each in milliseconds, and PyTorch's time over ours.

    OMP_NUM_THREADS=1 python benchmarks/network_step.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # the threads are counted when NumPy starts
import torch
from torch import nn as theirs
from torch.nn import functional

import pullback as pb
from pullback import nn
from pullback.train.step import make_step

ROUNDS = 15
Step = Callable[[], Any]
RNG = np.random.default_rng(0)
KEYS = pb.random.split(pb.random.key(0), 6)


def our_step(model: Any, loss: Any, x: Any, t: Any) -> Step:
    """Return a step by pb.compile."""
    optimizer = pb.optim.adam(1e-3)
    step = pb.compile(make_step(loss, optimizer))
    state = optimizer.init(nn.partition(model)[0])
    return lambda: step(model, state, x, t)


def their_step(model: Any, loss: Any, x: Any, t: Any) -> Step:
    """Return a step of PyTorch."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x), t).backward()
        optimizer.step()

    return step


def lenet() -> tuple[Step, Step]:
    """LeNet-5 on 64 images of 28 x 28."""
    x, t = RNG.normal(size=(64, 28, 28, 1)).astype(np.float32), RNG.integers(0, 10, 64)
    model = nn.Sequential([
        nn.Conv2d.create(KEYS[0], 1, 6, 5, padding="same"), nn.Activation("tanh"), nn.MaxPool2d(2),
        nn.Conv2d.create(KEYS[1], 6, 16, 5), nn.Activation("tanh"), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear.create(KEYS[2], 400, 120), nn.Activation("tanh"),
        nn.Linear.create(KEYS[3], 120, 84), nn.Activation("tanh"),
        nn.Linear.create(KEYS[4], 84, 10),
    ])  # fmt: skip
    peer = theirs.Sequential(
        theirs.Conv2d(1, 6, 5, padding=2), theirs.Tanh(), theirs.MaxPool2d(2),
        theirs.Conv2d(6, 16, 5), theirs.Tanh(), theirs.MaxPool2d(2), theirs.Flatten(),
        theirs.Linear(400, 120), theirs.Tanh(), theirs.Linear(120, 84), theirs.Tanh(),
        theirs.Linear(84, 10),
    )  # fmt: skip
    images = torch.tensor(np.moveaxis(x, -1, 1).copy())
    return (
        our_step(model, nn.softmax_cross_entropy, x, t),
        their_step(peer, functional.cross_entropy, images, torch.tensor(t)),
    )


class Gpt(theirs.Module):
    """The model of `nn.gpt` with 2 blocks, in PyTorch."""

    def __init__(self, vocabulary: int, time: int, features: int) -> None:
        super().__init__()
        self.table = theirs.Embedding(vocabulary, features)
        self.places = theirs.Parameter(torch.zeros(time, features))
        self.blocks = theirs.ModuleList(
            theirs.TransformerEncoderLayer(
                features, 4, 4 * features, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.norm = theirs.LayerNorm(features)
        self.head = theirs.Linear(features, vocabulary, bias=False)
        self.mask = theirs.Transformer.generate_square_subsequent_mask(time)

    def forward(self, tokens: Any) -> Any:
        """Return the logits of each next token, one row each."""
        x = self.table(tokens) + self.places
        for block in self.blocks:
            x = block(x, src_mask=self.mask, is_causal=True)
        return self.head(self.norm(x)).flatten(0, 1)


def gpt() -> tuple[Step, Step]:
    """Two blocks of 64 features, 16 texts of 64 characters."""
    x, t = RNG.integers(0, 65, (2, 16, 64))
    model = nn.gpt(KEYS[0], 65, 64, features=64, heads=4, layers=2)
    peer, labels = Gpt(65, 64, 64), torch.tensor(t.ravel())
    return (
        our_step(model, nn.softmax_cross_entropy, x, t),
        their_step(peer, functional.cross_entropy, torch.tensor(x), labels),
    )


class Last(theirs.Module):
    """An LSTM and a linear layer of its last output, in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = theirs.LSTM(16, 64, batch_first=True), theirs.Linear(64, 1)

    def forward(self, x: Any) -> Any:
        """Return one number for each sequence."""
        return self.head(self.lstm(x)[0][:, -1])


def lstm() -> tuple[Step, Step]:
    """64 units, 32 sequences of 50 steps."""
    x = RNG.normal(size=(32, 50, 16)).astype(np.float32)
    t = x.mean(axis=(1, 2))[:, None]
    model = nn.Sequential([
        nn.LSTM.create(KEYS[0], 16, 64, returns="last"), nn.Linear.create(KEYS[1], 64, 1)
    ])  # fmt: skip
    return (
        our_step(model, nn.mean_squared_error, x, t),
        their_step(Last(), functional.mse_loss, torch.tensor(x), torch.tensor(t)),
    )


def best_of(steps: tuple[Step, ...]) -> list[float]:
    """Return the milliseconds of the best round of each step."""
    best = [float("inf")] * len(steps)
    for _ in range(ROUNDS):
        for i, step in enumerate(steps):
            start = time.perf_counter()
            step()
            best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Print a line for each network."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for make in (lenet, gpt, lstm):
        ours, peer = best_of(make())
        print(f"{make.__name__:6} ours {ours:6.2f} ms  PyTorch {peer:6.2f} ms  x{peer / ours:.2f}")


if __name__ == "__main__":
    main()
