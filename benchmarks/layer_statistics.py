"""What a record of all layers costs while a network trains: `LayerRecorder` on its 256 rows.

    OMP_NUM_THREADS=1 python benchmarks/layer_statistics.py

Milliseconds, the least of ten.
"""

from __future__ import annotations

import time

import numpy as np

from pullback import nn, optim, random
from pullback.explain import layer_statistics

ROWS, TIMES = 256, 10


def main() -> None:
    """Print a line for a dense network and for a convolutional one, both for digits."""
    rng = np.random.default_rng(0)
    images = rng.random((ROWS, 28, 28, 1), np.float32)
    digits = rng.integers(0, 10, ROWS)
    dense = nn.mlp(random.key(0), [784, 128, 64, 10])
    convolutional = nn.convnet(random.key(0), images.shape[1:], 10)
    for name, model, inputs in (
        ("dense 784-128-64-10", dense, images.reshape(ROWS, -1)),
        ("nn.convnet, 28x28", convolutional, images),
    ):
        seconds = []
        for _ in range(TIMES):
            start = time.perf_counter()
            layer_statistics(
                model, nn.softmax_cross_entropy, inputs, digits, optimizer=optim.adam(1e-3)
            )
            seconds.append(time.perf_counter() - start)
        print(f"{name:<20} {1000 * min(seconds):6.1f} ms")


if __name__ == "__main__":
    main()
