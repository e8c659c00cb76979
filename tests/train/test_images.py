"""Image folders: read, resized, augmented, learned, and refused where a file is no image."""

import numpy as np
import pytest
from memory_peak import peak

import pullback as pb
from pullback.core.errors import ConfigError, DataError, ShapeError
from pullback.numpy import random
from pullback.train import Trainer, images, load, load_images, sources
from pullback.train.images import flipped, shifted

PIL = pytest.importorskip("PIL.Image")


def write(folder, n=40, shape=(12, 12), seed=0):
    """Bright left halves in one class, bright right halves in the other."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        pixels = rng.integers(0, 100, shape).astype(np.uint8)
        half = slice(0, shape[1] // 2) if i % 2 else slice(shape[1] // 2, None)
        pixels[:, half] += 120
        path = folder / ("left" if i % 2 else "right") / f"{i}.png"
        path.parent.mkdir(exist_ok=True, parents=True)
        PIL.fromarray(pixels).save(path)
    return folder


def test_a_folder_becomes_numbers_and_labels(tmp_path):
    source = load(str(write(tmp_path / "d")))
    assert source.preprocessing.input_shape == (12, 12, 1)
    assert source.preprocessing.targets[0].classes == ("left", "right")
    (part,) = source.validation.parts()
    assert part.inputs.shape == (8, 12, 12, 1)
    assert np.bincount(part.targets).tolist() == [4, 4]
    path = source.validation.paths[0]
    np.testing.assert_allclose(part.inputs[0, :, :, 0], np.asarray(PIL.open(path)) / 255, rtol=1e-6)
    assert path.parent.name == "left"
    assert not set(source.train.paths) & set(source.validation.paths)
    assert len(source.train) + len(source.validation) == 40


def test_colours_and_sizes_are_made_alike(tmp_path):
    write(tmp_path)
    colour = np.zeros((20, 40, 3), np.uint8)
    colour[:, 10:30] = 10, 200, 30  # the middle square is what stays
    PIL.fromarray(colour).save(tmp_path / "left" / "colour.png")
    source = load_images(tmp_path, image_size=8)
    assert source.preprocessing.input_shape == (8, 8, 3)
    (found,) = source.preprocessing.pixels([tmp_path / "left" / "colour.png"])
    inside = found[:, 2:6]  # of the edges bicubic interpolation makes a little more
    np.testing.assert_array_equal(inside, np.broadcast_to([10, 200, 30], inside.shape))
    assert load_images(tmp_path).preprocessing.input_shape == (64, 64, 3)
    assert load_images(tmp_path, image_size=8, grey=True).preprocessing.input_shape == (8, 8, 1)


def epoch(stream, key):
    found = [
        (window.inputs[order], window.targets[order])
        for window, order in stream.windows(random.key(key), 4)
    ]
    return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


@pytest.mark.parametrize("cache", [0, 1 << 28])
def test_every_image_comes_once_in_another_order(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(images, "CACHE_BYTES", cache)
    train = load_images(write(tmp_path), window=10).train
    (x, labels), (again, _), (other, _) = (epoch(train, key) for key in (1, 1, 2))
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, other)
    in_order = np.concatenate([part.inputs.copy() for part in train.parts()])
    for found in (x, other):
        np.testing.assert_array_equal(
            np.sort(found.reshape(32, -1)[:, 0]), np.sort(in_order.reshape(32, -1)[:, 0])
        )
    assert (x[:, :, :6].mean(axis=(1, 2, 3)) > x[:, :, 6:].mean(axis=(1, 2, 3))).tolist() == (
        labels == 0
    ).tolist()


def test_augmentation_mirrors_and_moves_only_in_training(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 16, 16, 3)).astype(np.uint8)
    mirrored = flipped(pixels, random.key(0))
    same = (mirrored == pixels).all(axis=(1, 2, 3))
    assert 10 < same.sum() < 40
    np.testing.assert_array_equal(mirrored[~same], pixels[~same][:, :, ::-1])
    moved = shifted(pixels, random.key(0))
    assert moved.shape == pixels.shape
    padded = np.pad(pixels[7], ((2, 2), (2, 2), (0, 0)), "reflect")
    places = [(y, x) for y in range(5) for x in range(5)]
    assert any((padded[y : y + 16, x : x + 16] == moved[7]).all() for y, x in places)
    assert sum((moved != pixels).any(axis=(1, 2, 3))) > 20
    plain = load_images(write(tmp_path))
    varied = load_images(tmp_path, augment=("flip", "crop"))
    assert not np.array_equal(epoch(plain.train, 1)[0], epoch(varied.train, 1)[0])
    np.testing.assert_array_equal(epoch(varied.train, 1)[0], epoch(varied.train, 1)[0])
    for a, b in zip(plain.train.parts(), varied.train.parts(), strict=True):
        np.testing.assert_array_equal(a.inputs, b.inputs)


def test_a_small_convolutional_network_learns_a_folder(tmp_path):
    source = load_images(write(tmp_path), window=16)
    model = pb.nn.convnet(random.key(0), source.preprocessing.input_shape, 2, widths=(4,))
    trainer = Trainer(model, "softmax_cross_entropy", pb.optim.adam(1e-2), metric="f1")
    history = trainer.fit(source.train, source.validation, epochs=8, batch_size=8)
    assert history[-1]["validation_f1"] == 1.0


def test_a_split_that_is_there_is_kept(tmp_path):
    write(tmp_path / "train", 10)
    write(tmp_path / "val", 6)
    source = load(str(tmp_path))
    assert (len(source.train), len(source.validation)) == (10, 6)
    assert {path.parts[-3] for path in source.validation.paths} == {"val"}
    (tmp_path / "val" / "up").mkdir()
    PIL.new("L", (12, 12)).save(tmp_path / "val" / "up" / "0.png")
    with pytest.raises(DataError, match=r"up: a class that .*train has not"):
        load(str(tmp_path))


def test_what_is_no_image_is_refused_by_name(tmp_path):
    bad = write(tmp_path / "d") / "left" / "bad.png"
    content = (bad.parent / "1.png").read_bytes()
    bad.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"bad\.png: expected a readable image"):
        load(str(tmp_path / "d"))
    bad.write_bytes(content[: len(content) // 2])
    source = load(str(tmp_path / "d"))
    model = pb.nn.convnet(random.key(0), (12, 12, 1), 2, widths=(2,))
    trainer = Trainer(model, "softmax_cross_entropy", pb.optim.sgd(0.1))
    with pytest.raises(DataError, match=r"bad\.png: expected a readable image.*truncated"):
        trainer.fit(source.train, source.validation, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    PIL.fromarray(np.zeros((12, 12), np.uint16)).save(bad)
    with pytest.raises(DataError, match=r"bad\.png: expected 8 bits.*I;16"):
        load(str(tmp_path / "d"))
    bad.unlink()
    (tmp_path / "d" / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected images"):
        load(str(tmp_path / "d"))
    (tmp_path / "d" / "empty").rmdir()
    for options, message in [
        ({"augment": ["rotate"]}, "augment: expected flip or crop, got 'rotate'"),
        ({"image_size": 0}, "image_size: expected 1 or more, got 0"),
        ({"validation": 2.0}, "between 0 and 1"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load_images(tmp_path / "d", **options)
    with pytest.raises(ConfigError, match="classified by their folders"):
        load(str(tmp_path / "d"), ["class"])
    with pytest.raises(DataError, match="two classes or more, got left"):
        load_images(_without(tmp_path / "d", "right"))
    with pytest.raises(ShapeError, match="cannot be halved 4 times"):
        pb.nn.convnet(random.key(0), (12, 12, 1), 2, widths=(2, 2, 2, 2))


def _without(folder, name):
    for path in (folder / name).iterdir():
        path.unlink()
    (folder / name).rmdir()
    return folder


def test_preprocessing_is_restored_exactly(tmp_path):
    found = load(str(write(tmp_path))).preprocessing
    assert sources.restore_preprocessing(found.to_json()) == found
    with pytest.raises(DataError, match=r"config\.json"):
        sources.restore_preprocessing({"kind": "images", "targets": 3})


def test_memory_is_that_of_a_window(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "CACHE_BYTES", 0)
    train = load_images(write(tmp_path, 300, (64, 64)), window=8).train
    whole = len(train) * 64 * 64 * 4

    def read():
        for _ in train.windows(random.key(0), 8):
            pass

    monkeypatch.setattr(images, "PIECE", 8)
    read()
    assert peak(read) < whole / 3


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"folder: expected .* got .*none.* not there"):
        load_images(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="a file"):
        load_images(tmp_path / "file")
