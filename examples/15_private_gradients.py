"""Per-example gradients: each clipped, noise added, as in differentially private training (DP-SGD).

`pb.vmap(pb.grad(loss))` gives the gradient of every example of a batch. Each is shortened
to a norm of at most `CLIP`, so that no digit moves the sum by more, and normal noise of standard
deviation `NOISE * CLIP` is added to the sum. Batches are Poisson samples: each digit is taken with
probability BATCH / n. Source: Abadi et al., "Deep learning with differential privacy", CCS 2016.

The epsilon printed is that of the moments accountant for the sampled Gaussian mechanism, adding or
removing one digit, at integer orders: Mironov, Talwar and Zhang, "Renyi differential privacy of the
sampled Gaussian mechanism", arXiv:1908.10530, section 3.3; Mironov, "Renyi differential privacy",
CSF 2017, proposition 3. It speaks of exact arithmetic and perfect random numbers, not of the
choice of the constants here: a lesson, no certificate.

Needs the MNIST files: PULLBACK_DATA=FOLDER python examples/15_private_gradients.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.special import gammaln, logsumexp

import pullback as pb
from pullback import nn

BATCH, CLIP, NOISE, DELTA = 256, 1.0, 1.0, 1e-5
CHUNK = 8


def loss(model, x, label):
    """Return the loss of one example: x (784,), label ()."""
    return nn.softmax_cross_entropy(model(x[None]), label[None])


def clipped(gradient):
    """Return the gradient of one example, shortened to a norm of at most CLIP."""
    norm = np.sqrt(sum(np.sum(leaf * leaf) for leaf in pb.tree.leaves(gradient)))
    factor = np.minimum(1, CLIP / np.maximum(norm, 1e-12))
    return pb.tree.map(lambda leaf: leaf * factor, gradient)


def sum_of_clipped(model, x, labels, taken):
    """Return the sum of the clipped gradients of the examples that are taken: 0 or 1 for each.

    They are made CHUNK at a time, so that they lie in the processor's cache.
    """

    def of_example(x, label, taken):
        return pb.tree.map(lambda leaf: taken * leaf, clipped(pb.grad(loss)(model, x, label)))

    def add_chunk(total, chunk):
        gradients = pb.vmap(of_example)(*chunk)
        return pb.tree.map(lambda sum, leaf: sum + np.sum(leaf, axis=0), total, gradients), None

    chunks = [array.reshape(-1, CHUNK, *array.shape[1:]) for array in (x, labels, taken)]
    return pb.scan(add_chunk, pb.tree.map(np.zeros_like, model), tuple(chunks))[0]


def sum_by_a_loop(gradient_of_one, model, x, labels):
    """Return the same, one example after the other."""
    total = pb.tree.map(np.zeros_like, model)
    for example, label in zip(x, labels, strict=True):
        gradient = gradient_of_one(model, example, label)
        total = pb.tree.map(np.add, total, gradient)
    return total


def private_gradient(model, x, labels, taken, key):
    """Return the noisy mean of the clipped gradients."""
    total = sum_of_clipped(model, x, labels, taken)
    leaves, structure = pb.tree.flatten(total)
    keys = pb.random.split(key, len(leaves))
    noisy = [
        (leaf + NOISE * CLIP * pb.random.normal(key, leaf.shape)) / BATCH
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return pb.tree.unflatten(structure, noisy)


def epsilon(rate: float, noise: float, steps: int, delta: float) -> float:
    """Return epsilon for `steps` sampled Gaussian mechanisms, the best over orders 2 to 255."""
    best = np.inf
    for order in range(2, 256):
        k = np.arange(order + 1)
        binomial = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        terms = binomial + (order - k) * np.log1p(-rate) + k * np.log(rate)
        renyi = steps * logsumexp(terms + (k * k - k) / (2 * noise**2)) / (order - 1)
        best = min(best, renyi - np.log(delta) / (order - 1))
    return float(best)


def poisson_batch(rng, samples: int, capacity: int):
    """Return `capacity` rows, and 1 for those that are taken, 0 for what fills up."""
    rows = np.flatnonzero(rng.random(samples) < BATCH / samples)
    if len(rows) > capacity:
        raise RuntimeError(f"{len(rows)} examples taken, room for {capacity}")  # P < 1e-8
    filled = np.concatenate([rows, np.zeros(capacity - len(rows), np.int64)])
    return filled, (np.arange(capacity) < len(rows)).astype(np.float32)


def timings(model, x, labels, rounds: int) -> dict[str, float]:
    """Return the seconds for a batch: ordinary mean, clipped by vmap, clipped by a loop."""
    ones = np.ones(len(x), np.float32)
    one_by_one = pb.compile(lambda model, x, label: clipped(pb.grad(loss)(model, x, label)))
    mean = pb.compile(pb.grad(lambda m, x, t: nn.softmax_cross_entropy(m(x), t)))
    at_once = pb.compile(sum_of_clipped)
    ways = {
        "mean gradient": lambda: mean(model, x, labels),
        "clipped, vmap": lambda: at_once(model, x, labels, ones),
        "clipped, loop": lambda: sum_by_a_loop(one_by_one, model, x, labels),
    }
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds + 1):  # the first compiles
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - start)
    pairs = zip(
        pb.tree.leaves(ways["clipped, vmap"]()),
        pb.tree.leaves(ways["clipped, loop"]()),
        strict=True,
    )
    return best | {"difference": max(float(np.abs(a - b).max()) for a, b in pairs)}


def main(
    picture: str | None = None, samples: int = 60_000, epochs: int = 15, rounds: int = 20
) -> dict[str, float]:
    """Train on the first `samples` digits with and without privacy; print accuracy and timing."""
    try:
        digits = pb.train.load("mnist")
    except pb.errors.DataError as error:
        print(error)
        sys.exit(0)
    x, labels = digits.train.inputs[:samples], digits.train.targets[:samples]
    test = digits.validation
    start = model = nn.mlp(pb.random.key(0), [784, 64, 10])
    seconds = timings(model, x[:BATCH], labels[:BATCH], rounds)
    difference = seconds.pop("difference")
    for name, took in seconds.items():
        print(f"  {name:14s} {1e3 * took:8.2f} ms for {BATCH} examples")
    gain = seconds["clipped, loop"] / seconds["clipped, vmap"]
    print(f"  vmap is {gain:.0f} times faster than the loop")

    per_epoch, capacity = len(x) // BATCH, BATCH + 12 * CHUNK
    steps = epochs * per_epoch
    optimizer = pb.optim.momentum(pb.optim.cosine(0.2, steps), decay=0.9)

    @pb.compile
    def step(model, state, x, labels, taken, key):
        gradient = private_gradient(model, x, labels, taken, key)
        return optimizer.update(gradient, state, model)

    state = optimizer.init(model)
    rng, key = np.random.default_rng(0), pb.random.key(1)
    budget, scores = [], []
    for i in range(steps):
        rows, taken = poisson_batch(rng, len(x), capacity)
        noise_key = pb.random.fold_in(key, i)
        model, state = step(model, state, x[rows], labels[rows], taken, noise_key)
        if (i + 1) % per_epoch == 0:
            budget.append(epsilon(BATCH / len(x), NOISE, i + 1, DELTA))
            scores.append(pb.train.METRICS["accuracy"](model(test.inputs), test.targets))
    trainer = pb.train.Trainer(
        start, "softmax_cross_entropy", pb.optim.momentum(0.1), metric="accuracy"
    )
    trainer.fit(pb.train.Dataset(x, labels, 10), epochs=epochs, batch_size=BATCH)
    plain = trainer.evaluate(test)["accuracy"]
    print(f"clipped and noisy: {scores[-1]:.2%} of the test digits, ", end="")
    print(f"epsilon {budget[-1]:.2f} at delta {DELTA:g}; ordinary training: {plain:.2%}")
    if picture is not None:
        draw(picture, budget, scores, plain)
    return {
        "accuracy": scores[-1],
        "plain": plain,
        "epsilon": budget[-1],
        "difference": difference,
        "gain": gain,
    }


def draw(path: str, budget: list[float], scores: list[float], plain: float) -> None:
    """Draw the accuracy against the epsilon that was spent for it."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    axes.plot(budget, [100 * score for score in scores], "o-", label="clipped and noisy")
    axes.axhline(100 * plain, ls="--", color="0.4", label="ordinary training")
    axes.set(xlabel=f"epsilon, at delta = {DELTA:g}", ylabel="test accuracy, %")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:2])
