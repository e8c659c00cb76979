"""Weights come back bitwise, and a file that does not fit says what does not."""

import struct

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import FormatError, TreeError
from pullback.interchange import load_weights, read_info, save_weights


def make(sizes=(4, 16, 2), key=0):
    return pb.nn.mlp(pb.random.key(key), list(sizes))


def same(first, second):
    pairs = zip(pb.tree.leaves(first), pb.tree.leaves(second), strict=True)
    return all(
        np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in pairs
    )


@pytest.mark.parametrize(
    "model",
    [
        make(),
        pb.nn.resnet(pb.random.key(0), 10, widths=(4, 8), blocks=1),
        pb.nn.gpt(pb.random.key(1), 20, 8, features=8, heads=2, layers=1, dropout=0.1),
        pb.nn.LSTM.create(pb.random.key(2), 3, 4, layers=2, bidirectional=True),
        {"a": np.arange(3), "b": [np.float64(2.0), np.array([1 + 2j, 3j]), np.zeros((0, 2), bool)]},
        (np.ones((2, 3), np.complex64).T, np.arange(12.0).reshape(3, 4).T),
    ],
    ids=["mlp", "resnet", "gpt", "lstm", "dict", "transposed"],
)
def test_weights_and_state_come_back_bitwise(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(model, path)
    blank = pb.tree.map(np.zeros_like, model)
    assert same(load_weights(blank, path), model)


def test_bfloat16_weights_come_back(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    model = pb.tree.map(lambda x: x.astype(ml_dtypes.bfloat16), make())
    save_weights(model, tmp_path / "m")
    assert same(load_weights(model, tmp_path / "m"), model)


def test_names_are_the_places_in_the_model(tmp_path):
    from safetensors.numpy import load_file

    save_weights(make(), tmp_path / "m")
    assert sorted(load_file(tmp_path / "m")) == [
        "layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight",
    ]  # fmt: skip


def test_equal_models_make_equal_files(tmp_path):
    for name in "ab":
        save_weights(make(), tmp_path / name, {"epoch": 3, "loss": 0.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_info(tmp_path / "a") == {"epoch": 3, "loss": 0.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_training_wrote_loads(tmp_path):
    rng = np.random.default_rng(0)
    data = pb.train.Dataset(rng.normal(size=(20, 4)).astype("f4"), rng.integers(0, 2, 20))
    trainer = pb.train.Trainer(make(), "softmax_cross_entropy", pb.optim.adam(1e-2))
    trainer.fit(data, epochs=1, batch_size=10, out=tmp_path / "run")
    assert same(load_weights(make(key=9), tmp_path / "run" / "model.safetensors"), trainer.model)


def test_every_array_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "m"
    save_weights(make((4, 16, 2)), path)
    with pytest.raises(FormatError) as caught:
        load_weights(make((4, 8, 2)), path)
    text = str(caught.value)
    assert "layers.0.weight: expected f32[4,8], got f32[4,16]" in text
    assert "layers.2.weight: expected f32[8,2], got f32[16,2]" in text
    with pytest.raises(FormatError, match=r"missing: layers\.4\.weight"):
        load_weights(make((4, 16, 2, 2)), path)
    with pytest.raises(FormatError, match=r"unexpected: layers\.2\.weight"):
        load_weights(make((4, 16)), path)
    doubled = pb.tree.map(np.float64, make())
    with pytest.raises(FormatError, match=r"layers\.0\.bias: expected f64\[16\], got f32\[16\]"):
        load_weights(doubled, path)


def test_not_strict_takes_what_fits_by_name_and_still_checks_shapes(tmp_path):
    path, longer = tmp_path / "m", make((4, 16, 2, 2), key=3)
    save_weights(make(), path)
    loaded = load_weights(longer, path, strict=False)
    assert same(loaded.layers[:3], make().layers)
    assert same(loaded.layers[4], longer.layers[4])
    with pytest.raises(FormatError, match="expected"):
        load_weights(make((4, 8, 2)), path, strict=False)
    with pytest.raises(FormatError, match="missing"):
        load_weights({"other": np.zeros(2)}, path, strict=False)


def test_what_has_no_place_in_a_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match="numbers"):
        save_weights({"a": np.array(["text"])}, tmp_path / "m")
    with pytest.raises(FormatError, match="numbers"):
        save_weights({"a": object()}, tmp_path / "m")
    with pytest.raises(TreeError, match=r"'a\.b'"):
        save_weights({"a": {"b": 1.0}, "a.b": 2.0}, tmp_path / "m")
    for info in ({"format": 1}, {"when": np.float32(1)}, {"model": make()}):
        with pytest.raises(FormatError, match=r"entry of pullback's own|JSON can hold"):
            save_weights(make(), tmp_path / "m", info)
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "m"
    save_weights(make(), path)
    before = path.read_bytes()
    with pytest.raises(FormatError):
        save_weights(make(key=1), path, {"when": object()})
    assert path.read_bytes() == before
    with pytest.raises(OSError):
        save_weights(make(), tmp_path / "no" / "such" / "folder")


def test_damaged_files_are_refused_at_every_length(tmp_path):
    path, model = tmp_path / "m", make((2, 3))
    save_weights(model, path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError, match="m: "):
            load_weights(model, path)
    rng = np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for _ in range(300):
        place = int(rng.integers(header))
        flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        try:
            loaded = load_weights(model, path)
        except FormatError:
            continue
        assert pb.tree.structure(loaded) == pb.tree.structure(model)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"pullback": "{"},
        {"pullback": "[" * 100000},
        {"pullback": "[1]"},
        {"pullback": '{"format": 99, "complex": []}'},
        {"pullback": '{"format": 2, "holds": "graph", "complex": []}'},
        {"pullback": '{"format": 2, "holds": "weights", "complex": ["nothing"]}'},
        {"pullback": '{"format": 2, "holds": "weights", "complex": 5}'},
        {"pullback": '{"format": true, "holds": "weights", "complex": []}'},
    ],
)
def test_foreign_files_are_refused(metadata, tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros((2, 2), np.float32)}, tmp_path / "m", metadata=metadata)
    with pytest.raises(FormatError, match="m: "):
        load_weights({"w": np.zeros((2, 2), np.float32)}, tmp_path / "m")


def test_a_folder_or_nothing_is_no_file(tmp_path):
    for path, found in ((tmp_path, "is a folder"), (tmp_path / "missing", "no such file")):
        with pytest.raises(FormatError, match=f"{path}: {found}"):
            load_weights(make(), path)


def test_an_error_of_writing_names_the_file_that_was_asked_for(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "model.safetensors"):
        with pytest.raises(OSError, match=rf"'{path}'$"):
            save_weights(make(), path)
