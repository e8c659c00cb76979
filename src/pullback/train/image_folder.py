"""A folder with one sub-folder of images for each class, as training and validation data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.checks import check_share
from pullback.core.errors import ConfigError, DataError
from pullback.train.images import AUGMENTATIONS, SUFFIXES, ImageStream, images_in, learn_images
from pullback.train.stream import DEFAULT_WINDOW, window_rows

FLOAT_BYTES = 4


def is_image_folder(path: str | Path) -> bool:
    """Return whether `path` is a folder that has images in its sub-folders."""
    place = Path(path)
    return place.is_dir() and any(images_in(child) for child in place.iterdir() if child.is_dir())


def stream_images(
    folder: str | Path,
    seed: int = 0,
    validation: float = 0.2,
    window: int | str = DEFAULT_WINDOW,
    image_size: int | None = None,
    grey: bool | None = None,
    augment: Sequence[str] = (),
) -> tuple[ImageStream, ImageStream]:
    """Return the training and the validation images in `folder`.

    Each sub-folder is a class by its name; of each a share `validation`, drawn by `seed`, is held
    out, one image at least. Where `folder` holds train/ and validation/ (or val/ or test/), each
    with sub-folders for classes, that is the split.
    Raises DataError for missing or empty folders, fewer than two classes, and files that are no
    images; ConfigError for options that are not allowed.
    """
    unknown = sorted(set(augment) - set(AUGMENTATIONS))
    if unknown:
        raise ConfigError(f"augment: expected {' or '.join(AUGMENTATIONS)}, got {unknown[0]!r}")
    place = Path(folder)
    if not place.is_dir():
        raise DataError(
            f"folder: expected one with a sub-folder of images for each class, got {place}, which "
            f"is {'a file' if place.exists() else 'not there'}"
        )
    parts = [place / name for name in ("validation", "val", "test") if (place / name).is_dir()]
    if (place / "train").is_dir() and parts:
        train, held = _classes(place / "train"), _classes(parts[0])
        surplus = sorted(set(held) - set(train))
        if surplus:
            raise DataError(f"{parts[0] / surplus[0]}: a class that {place / 'train'} has not")
    else:
        train, held = _split(_classes(place), seed, validation)
    preprocessing = learn_images(train, image_size, grey)
    learn_images(held, image_size, grey)  # that they are images
    row_bytes = FLOAT_BYTES * int(np.prod(preprocessing.input_shape))

    def stream(files: dict[str, list[Path]], augment: Sequence[str]) -> ImageStream:
        paths = tuple(path for own in files.values() for path in own)
        numbers = [list(train).index(name) for name, own in files.items() for _ in own]
        rows = window_rows(window, row_bytes)
        labels: Any = np.array(numbers, np.int64)
        return ImageStream(paths, labels, preprocessing, len(paths), rows, tuple(augment))

    return stream(train, augment), stream(held, ())


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the images of each class, by its name."""
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    visible = [child for child in children if not child.name.startswith(".")]
    found = {child.name: images_in(child) for child in visible}
    if len(found) < 2:
        raise DataError(
            f"{folder}: expected a sub-folder of images for each of two classes or more, got "
            f"{', '.join(found) or 'none'}"
        )
    for name, paths in found.items():
        if not paths:
            raise DataError(
                f"{folder / name}: expected images ({', '.join(SUFFIXES)}), got none; remove the "
                "folder, or put the images of the class there"
            )
    return found


def _split(
    classes: dict[str, list[Path]], seed: int, validation: float
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    check_share(validation=validation)
    rng = np.random.default_rng(seed)
    train, held = {}, {}
    for name, paths in classes.items():
        count = max(1, round(len(paths) * validation))
        if count >= len(paths):
            raise DataError(
                f"class {name!r}: {len(paths)} images are too few to hold out {validation:.0%} "
                "for validation"
            )
        order = rng.permutation(len(paths))
        held[name] = [paths[i] for i in sorted(order[:count])]
        train[name] = [paths[i] for i in sorted(order[count:])]
    return train, held
