"""A small GPT that learns to write like Jane Austen, letter by letter, in a few minutes.

The text is the first volume of "Pride and Prejudice" (1813, public domain; see data/README.md). The
network sees 64 characters and predicts each next one; the last tenth of the text is held out. It
writes by itself in one compiled `pb.scan`, drawing letters by the Gumbel-max rule.
Source: Radford et al., "Language models are unsupervised multitask learners", 2019.

python examples/12_character_gpt.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import pullback as pb

TEXT = Path(__file__).parent / "data" / "pride_and_prejudice_volume_1.txt"


def windows(tokens, context: int, stride: int) -> pb.train.Dataset:
    """Return stretches of the text, and as targets the same stretches one character later."""
    pairs = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::stride]
    return pb.train.Dataset(pairs[:, :-1].copy(), pairs[:, 1:].copy())


@pb.compile
def write(model, window, keys, temperature):
    """Return the tokens that follow `window`, one for each of `keys`."""

    def step(window, key):
        logits = model(window[None])[0, -1]
        gumbel = -np.log(-np.log(pb.random.uniform(key, logits.shape)))
        token = np.argmax(logits / temperature + gumbel)
        return np.concatenate([window[1:], token[None]]), token

    return pb.scan(step, window, keys)[1]


class PrintEpochs(pb.train.Callback):
    """One line for each epoch."""

    def on_epoch_end(self, trainer, row):
        print(
            f"  epoch {row['epoch']}  loss {row['train_loss']:.3f}  held-out text "
            f"{row['validation_loss']:.3f} nats per character  {row['seconds']:.0f} s"
        )


def draw(path: str, losses: list[float], history: list, letters: int) -> None:
    """Draw the loss of every batch and that of the held-out text after every epoch."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.plot(losses, lw=0.6, color="0.6", label="batches")
    per_epoch = len(losses) // len(history)
    steps = [row["epoch"] * per_epoch for row in history]
    axes.plot(steps, [row["validation_loss"] for row in history], "o-C3", label="held-out text")
    axes.axhline(np.log(letters), ls=":", color="k", label="guessing")
    axes.set(xlabel="step", ylabel="nats per character", ylim=(1, None))
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(
    picture: str | None = None,
    epochs: int = 5,
    features: int = 64,
    layers: int = 3,
    characters: int | None = None,
    length: int = 500,
) -> dict[str, float]:
    """Train on the first `characters` of the text, print the losses and `length` characters."""
    context, batch = 64, 32
    letters, tokens = np.unique(list(TEXT.read_text()[:characters]), return_inverse=True)
    split = len(tokens) * 9 // 10
    data = windows(tokens[:split], context, stride=context // 4)
    held_out = windows(tokens[split:], context, stride=context)
    steps = epochs * -(-len(data) // batch)
    sizes = {"features": features, "heads": 4, "layers": layers}
    model = pb.nn.gpt(pb.random.key(0), len(letters), context, **sizes)
    size = sum(leaf.size for leaf in pb.tree.leaves(model))
    print(f"{len(tokens):,} characters, {len(letters)} letters, {size:,} parameters, {steps} steps")
    rate = pb.optim.warmup(steps // 20 + 1, pb.optim.cosine(3e-3, steps))
    trainer = pb.train.Trainer(model, "softmax_cross_entropy", pb.optim.adamw(rate))
    recorder = pb.train.Recorder()
    start, start_cpu = time.perf_counter(), time.process_time()
    history = trainer.fit(
        data, held_out, epochs=epochs, batch_size=batch, callbacks=[recorder, PrintEpochs()]
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(f"trained in {seconds:.0f} s ({cpu:.0f} s of processors)\n")

    prompt = held_out.inputs[0]
    keys = pb.random.split(pb.random.key(1), length)
    written = write(trainer.model, prompt, keys, np.float32(0.8))
    print("".join(letters[prompt]), "|", "".join(letters[written]), sep="")
    if picture is not None:
        draw(picture, recorder.losses, history, len(letters))
    return {
        "first": recorder.losses[0],
        "loss": history[-1]["train_loss"],
        "held_out": history[-1]["validation_loss"],
        "guessing": float(np.log(len(letters))),
        "written": len(written),
    }


if __name__ == "__main__":
    main(*sys.argv[1:2])
