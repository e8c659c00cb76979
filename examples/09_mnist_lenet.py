"""LeNet-5 on MNIST: more than 99 % of the test digits, in under three minutes on two cores.

Two convolutions, each followed by the maxima of windows of 2 x 2, and three dense layers, as in
LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998,
with rectifiers and maxima in place of sigmoids and means.

Needs the MNIST files: PULLBACK_DATA=FOLDER python examples/09_mnist_lenet.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time

import numpy as np

import pullback as pb
from pullback import nn


def lenet(key: pb.random.Key) -> nn.Sequential:
    """Return the network: rows of 784 pixels become the logits of ten digits."""
    keys = pb.random.split(key, 5)
    return nn.Sequential(
        [
            nn.Reshape((28, 28, 1)),
            nn.Conv2d.create(keys[0], 1, 6, 5, padding="same"),
            nn.Activation("relu"),
            nn.MaxPool2d(2),
            nn.Conv2d.create(keys[1], 6, 16, 5),
            nn.Activation("relu"),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear.create(keys[2], 400, 120),
            nn.Activation("relu"),
            nn.Linear.create(keys[3], 120, 84),
            nn.Activation("relu"),
            nn.Linear.create(keys[4], 84, 10),
        ]
    )


class PrintEpochs(pb.train.Callback):
    """One line for each epoch."""

    def on_epoch_end(self, trainer, row):
        print(
            f"  epoch {row['epoch']:2}  loss {row['train_loss']:.4f}  "
            f"test {row['validation_accuracy']:.2%}  {row['samples_per_second']:8,.0f} samples/s"
        )


def draw(path: str, history: list, images, labels, logits) -> None:
    """Draw the accuracy of each epoch, and the digits that were mistaken with most conviction."""
    from matplotlib import pyplot as plt

    wrong = np.flatnonzero(np.argmax(logits, axis=1) != labels)
    conviction = np.max(nn.softmax(logits[wrong]), axis=1)
    worst = wrong[np.argsort(-conviction)][:12]
    figure = plt.figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
    axes = left.subplots()
    epochs = [row["epoch"] for row in history]
    for part, name in (("train", "training"), ("validation", "test")):
        axes.plot(epochs, [100 * row[f"{part}_accuracy"] for row in history], "o-", label=name)
    axes.set(xlabel="epoch", ylabel="accuracy, %")
    axes.legend()
    for place, i in zip(right.subplots(3, 4).flat, worst, strict=False):
        place.imshow(images[i].reshape(28, 28), cmap="gray_r")
        place.set_title(f"{labels[i]} read as {np.argmax(logits[i])}", fontsize=8)
        place.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(picture: str | None = None, samples: int = 60_000, epochs: int = 6) -> dict[str, float]:
    """Train on the first `samples` digits, print the accuracy on the test digits and the time."""
    try:
        digits = pb.train.load("mnist")
    except pb.errors.DataError as error:
        print(error)
        sys.exit(0)
    data = pb.train.Dataset(digits.train.inputs[:samples], digits.train.targets[:samples], 10)
    batch = 64
    rate = pb.optim.cosine(2e-3, epochs * -(-len(data) // batch))
    trainer = pb.train.Trainer(
        lenet(pb.random.key(0)), "softmax_cross_entropy", pb.optim.adam(rate), metric="accuracy"
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    history = trainer.fit(
        data, digits.validation, epochs=epochs, batch_size=batch, callbacks=[PrintEpochs()]
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    accuracy = history[-1]["validation_accuracy"]
    print(f"{accuracy:.2%} of the test digits after {seconds:.0f} s ({cpu:.0f} s of processors)")
    if picture is not None:
        test = digits.validation
        draw(picture, history, test.inputs, test.targets, trainer.predict(test.inputs))
    return {"accuracy": accuracy, "seconds": seconds}


if __name__ == "__main__":
    main(*sys.argv[1:2])
