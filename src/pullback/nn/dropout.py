"""Dropout: units left out at random in training."""

from __future__ import annotations

from typing import Any

import numpy as np

import pullback.numpy.random as random
from pullback.core.checks import check_fraction
from pullback.core.errors import ConfigError
from pullback.nn.module import Module, state, static
from pullback.numpy.random import Key


def dropout(x: Any, key: Key, rate: float = 0.5) -> Any:
    """Return x with each entry 0 with probability `rate`, else divided by 1 - rate.

    The expectation is x. Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov,
    "Dropout", JMLR 15, 2014. Raises ConfigError unless 0 <= rate < 1.

    >>> dropout(np.ones(6), random.key(0), 0.5)
    array([0., 0., 2., 2., 0., 2.])
    """
    check_fraction(rate=rate)
    keep = random.bernoulli(key, 1 - rate, np.shape(x))
    return np.where(keep, x * (1 / (1 - rate)), 0)


class Dropout(Module):
    """`dropout` in training, with a mask of its own at each `training_call`; else the identity.

    `key` is state: each training call uses it and leaves another one.

    >>> layer = Dropout.create(random.key(0), 0.5)
    >>> layer(np.ones(3))
    array([1., 1., 1.])
    """

    key: Key = state()
    rate: float = static(default=0.5)

    def __post_init__(self) -> None:
        check_fraction(rate=self.rate)
        if isinstance(self.key, float):
            raise ConfigError(
                f"key: expected a key, got {self.key}. Write Dropout.create(random.key(0), rate)."
            )

    @classmethod
    def create(cls, key: Key, rate: float = 0.5) -> Dropout:
        """Return a layer that draws its masks from `key`."""
        return cls(key, rate)

    def __call__(self, x: Any) -> Any:
        """Return x, in training with entries left out."""
        if not self.training or self.rate == 0:
            return x
        following, key = random.split(self.key)
        self.remember(key=following)
        return dropout(x, key, self.rate)
