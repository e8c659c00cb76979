"""Folders of images, one sub-folder for each class, decoded as they are needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError, DataError
from pullback.numpy import random
from pullback.train.dataset import Dataset
from pullback.train.stream import Stream
from pullback.train.table import Target

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
GREY_MODES, WIDE_MODES = ("1", "L", "LA"), ("I", "I;16", "I;16B", "F")
LARGEST_SIDE = 64
"""Images that are larger, or of several sizes, are made squares of this side unless told."""
PIECE = 64
CACHE_BYTES = 1 << 28
"""Images that take less memory than this, as bytes, are decoded once."""


@dataclass(frozen=True, slots=True)
class ImagePreprocessor:
    """How an image file becomes inputs: (height, width, 1 or 3) numbers from 0 to 1.

    An image is scaled so that it covers the size, and what stands over is cut off on both sides.
    """

    height: int
    width: int
    channels: int
    targets: tuple[Target]
    task: str = "classification"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the inputs of one image."""
        return self.height, self.width, self.channels

    @property
    def outputs(self) -> int:
        """Number of outputs of the model, one for each class."""
        return len(self.targets[0].classes)

    def pixels(self, paths: Sequence[Path]) -> Any:
        """Return the images in the files as bytes, uint8 of shape (n, height, width, channels).

        Raises DataError naming the file that is not readable.
        """
        images = np.empty((len(paths), *self.input_shape), np.uint8)
        for image, path in zip(images, paths, strict=True):
            image[:] = self._decoded(path)
        return images

    def inputs(self, paths: Sequence[Path]) -> Any:
        """Return the images in the files as the model takes them, float32."""
        return as_inputs(self.pixels(paths))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types that `from_json` restores exactly."""
        return {"kind": "images", **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ImagePreprocessor:
        """Restore what `to_json` returned. Raises DataError where something is missing."""
        try:
            (target,) = data["targets"]
            named = Target(**{**target, "classes": tuple(target["classes"])})
            return cls(int(data["height"]), int(data["width"]), int(data["channels"]), (named,))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"preprocessing in config.json is not readable: {error}") from None

    def _decoded(self, path: Path) -> Any:
        from PIL import ImageOps

        with _opened(path) as image:
            try:
                upright = ImageOps.exif_transpose(image)
                plain = upright.convert("L" if self.channels == 1 else "RGB")
                fitted = ImageOps.fit(plain, (self.width, self.height))
            except (OSError, SyntaxError, ValueError) as error:
                raise _unreadable(path, error) from None
        return np.asarray(fitted, np.uint8).reshape(self.input_shape)


@dataclass(frozen=True)
class ImageStream(Stream):
    """Image files with their labels; those that fit into memory as bytes are decoded once.

    `augment` names what happens to the images in training, see `AUGMENTATIONS`; in evaluation they
    are as they are.
    """

    paths: tuple[Path, ...]
    labels: Any
    preprocessing: ImagePreprocessor
    rows: int
    window: int
    augment: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.preprocessing.outputs

    def pieces(self, key: random.Key | None = None) -> Iterator[Dataset]:
        """Yield the images in pieces of 64, as numbers; with `key`, shuffled and augmented."""
        order = np.arange(self.rows) if key is None else random.permutation(key, self.rows)
        for start in range(0, self.rows, PIECE):
            chosen = order[start : start + PIECE]
            images = self._pixels(chosen)
            if key is not None:
                keys = random.split(random.fold_in(key, start), len(AUGMENTATIONS))
                for own, name in zip(keys, AUGMENTATIONS, strict=True):
                    images = AUGMENTATIONS[name](images, own) if name in self.augment else images
            yield Dataset(as_inputs(images), self.labels[chosen], self.classes)

    def fingerprint(self) -> str:
        """Return a short hash of the files' names, sizes and labels, and of the preprocessing."""
        files = [[path.parent.name, path.name, path.stat().st_size] for path in self.paths]
        options = [self.preprocessing.to_json(), self.window, self.augment, self.labels.tolist()]
        content = json.dumps([files, options])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _pixels(self, chosen: Any) -> Any:
        if self._decoded is not None:
            return self._decoded[chosen]
        return self.preprocessing.pixels([self.paths[i] for i in chosen])

    @cached_property
    def _decoded(self) -> Any:
        if self.rows * int(np.prod(self.preprocessing.input_shape)) > CACHE_BYTES:
            return None
        return self.preprocessing.pixels(self.paths)


def as_inputs(pixels: Any) -> Any:
    """Return bytes as float32 numbers from 0 to 1."""
    return pixels.astype(np.float32) / np.float32(255)


def flipped(images: Any, key: random.Key) -> Any:
    """Return the images, each second one by chance mirrored left to right."""
    mirrored = random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return np.where(mirrored, images[:, :, ::-1], images)


def shifted(images: Any, key: random.Key) -> Any:
    """Return the images, moved by up to an eighth of each side, their edges reflected.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    _, height, width, _ = images.shape
    down, right = height // 8, width // 8
    padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)), "reflect")
    rows, columns = random.split(key)
    tops = random.randint(rows, (len(images),), 0, 2 * down + 1)
    lefts = random.randint(columns, (len(images),), 0, 2 * right + 1)
    parts = zip(padded, tops, lefts, strict=True)
    return np.stack([image[y : y + height, x : x + width] for image, y, x in parts])


AUGMENTATIONS: dict[str, Callable[[Any, random.Key], Any]] = {"flip": flipped, "crop": shifted}
"""What may happen to images in training, by name: mirrored, cut out at another place."""


def images_in(folder: Path) -> list[Path]:
    """Return the image files in `folder` and below, in the order of their names."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def learn_images(
    classes: dict[str, list[Path]], size: int | None, grey: bool | None
) -> ImagePreprocessor:
    """Look at the head of every file, and return how the images become inputs.

    `size` is the side of a square; without it images of one size of at most 64 keep it, others
    become 64 by 64. They are grey where `grey`, or where all are.
    Raises DataError naming the file that is no image, ConfigError for a size below 1.
    """
    if size is not None and size < 1:
        raise ConfigError(f"image_size: expected 1 or more, got {size}")
    sizes, colour = set(), False
    for paths in classes.values():
        for path in paths:
            with _opened(path) as image:
                if image.mode in WIDE_MODES:
                    raise DataError(
                        f"{path}: expected 8 bits for each colour, got pillow's mode {image.mode}; "
                        "scale the numbers to 0 to 255 and save the image anew"
                    )
                sizes.add(image.size)
                colour = colour or image.mode not in GREY_MODES
    one = next(iter(sizes)) if len(sizes) == 1 else (LARGEST_SIDE + 1, 0)
    side = LARGEST_SIDE if size is None else size
    width, height = one if size is None and max(one) <= LARGEST_SIDE else (side, side)
    channels = 3 if (colour if grey is None else not grey) else 1
    return ImagePreprocessor(height, width, channels, (Target("class", classes=tuple(classes)),))


def _opened(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            'images are read by pillow, which is not installed: pip install "pullback[app]"'
        ) from None
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: expected a readable image, got {error}; remove or replace it")
