"""State_dicts that are refused: misfits, layers that could be either, and what is none."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import FormatError
from pullback.interchange import load_torch

KEY = pb.random.key(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def two_layers():
    return nn.Sequential([nn.Linear(np.zeros((2, 2))), nn.Linear(np.zeros((2, 2)))])


def test_equal_layers_of_other_names_need_to_be_named(rng):
    tensors = {"beta.weight": rng.normal(size=(2, 2)), "alpha.weight": rng.normal(size=(2, 2))}
    with pytest.raises(FormatError, match=r"names=\{'layers.0': 'alpha', 'layers.1': 'beta'\}"):
        load_torch(two_layers(), tensors)
    names = {"layers.0": "beta", "layers.1": "alpha"}
    loaded = load_torch(two_layers(), tensors, names)
    assert (loaded.layers[0].weight == tensors["beta.weight"].T).all()
    assert (loaded.layers[1].weight == tensors["alpha.weight"].T).all()
    numbers = {"b.0.weight": np.zeros((2, 2)), "a.1.weight": np.zeros((2, 2))}
    with pytest.raises(FormatError, match="which is which"):
        load_torch(two_layers(), numbers)
    with pytest.raises(FormatError, match="the state_dict has no 'gamma'"):
        load_torch(two_layers(), tensors, {"layers.0": "gamma"})
    with pytest.raises(FormatError, match=r"the model has no 'layers\.7'"):
        load_torch(two_layers(), tensors, {"layers.7": "beta"})


def test_attention_as_four_layers(rng):
    layer = nn.MultiHeadAttention.create(KEY, 4, 2, bias=False, dtype=np.float64)
    tensors = {f"{name}.weight": rng.normal(size=(4, 4)) for name in ("query", "key", "value")}
    tensors["output.weight"] = rng.normal(size=(4, 4))
    loaded = load_torch(layer, tensors)
    assert (loaded.key.weight == tensors["key.weight"].T).all()
    tensors["out.weight"] = tensors.pop("output.weight")
    with pytest.raises(FormatError, match="several layers"):
        load_torch(layer, tensors)
    names = {"output": "out"}
    assert (load_torch(layer, tensors, names).output.weight == tensors["out.weight"].T).all()


def test_what_is_missing_too_many_or_of_another_shape_is_listed(rng):
    good = {"0.weight": np.zeros((2, 2)), "1.weight": np.zeros((2, 2))}
    with pytest.raises(FormatError, match=r"missing: layers\.0: weight \(2, 2\)"):
        load_torch(two_layers(), {"0.weight": np.zeros((2, 2))})
    with pytest.raises(FormatError, match=r"unexpected: 0: bias \(2,\), weight"):
        load_torch(two_layers(), {**good, "0.bias": np.zeros(2)})
    with pytest.raises(FormatError, match=r"unexpected: 1: weight \(3, 2\)"):
        load_torch(two_layers(), {**good, "1.weight": np.zeros((3, 2))})
    with pytest.raises(FormatError, match=r"0\.weight: expected float64, got float32"):
        load_torch(two_layers(), {**good, "0.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(FormatError, match="no such file"):
        load_torch(two_layers(), "nowhere.safetensors")


def test_the_weights_of_pullback_are_no_state_dict(tmp_path):
    pb.interchange.save_weights(two_layers(), tmp_path / "w")
    with pytest.raises(FormatError, match="expected a file of PyTorch, got one of pullback"):
        load_torch(two_layers(), tmp_path / "w")


class Head(nn.Module):
    dense: nn.Linear

    def __call__(self, x):
        return self.dense(np.reshape(x, (x.shape[0], -1)))


@pytest.mark.parametrize(
    "behind",
    [
        [Head(nn.Linear(np.zeros((12, 5))))],
        [nn.Flatten(), Head(nn.Linear(np.zeros((12, 5))))],
        [nn.Reshape((12,)), nn.Linear(np.zeros((12, 5)))],
        [nn.Flatten(), nn.LayerNorm.create(12, dtype=np.float64), nn.Linear(np.zeros((12, 5)))],
        [nn.Flatten(), nn.Linear(np.zeros((10, 5)))],
    ],
    ids=["own flatten", "own layer", "reshape", "norm between", "other size"],
)
def test_an_order_that_is_not_known_is_asked_for(behind):
    conv = nn.Conv2d(np.zeros((3, 3, 1, 3)), None)
    model = nn.Sequential([conv, nn.Activation("relu"), *behind])
    with pytest.raises(FormatError, match="flattened"):
        load_torch(model, {})


def test_dtypes_are_those_of_the_model(torch, tmp_path):
    theirs, narrow = torch.nn.Linear(2, 3, dtype=torch.float64), nn.Linear.create(KEY, 2, 3)
    with pytest.raises(FormatError, match=r": weight: expected float32.*dtype='float64'"):
        load_torch(narrow, theirs.state_dict())
    wide = load_torch(nn.Linear.create(KEY, 2, 3, dtype="float64"), theirs.state_dict())
    np.testing.assert_array_equal(wide.weight.T, theirs.weight.detach())
    from safetensors.torch import save_file

    save_file(theirs.to(torch.bfloat16).state_dict(), tmp_path / "narrow")
    with pytest.raises(FormatError, match="bfloat16"):
        load_torch(narrow, tmp_path / "narrow")


def test_tensors_that_numpy_cannot_read_are_named(torch):
    model = nn.Linear.create(KEY, 2, 3)
    for tensors in (
        torch.nn.Linear(2, 3, dtype=torch.bfloat16).state_dict(),
        dict(torch.nn.Linear(2, 3).named_parameters()),
    ):
        with pytest.raises(FormatError, match=r"weight: is no array of NumPy .*detach"):
            load_torch(model, tensors)


def test_what_is_no_state_dict_says_how_to_write_one(torch, tmp_path):
    model, theirs = nn.Linear.create(KEY, 2, 3), torch.nn.Linear(2, 3)
    with pytest.raises(FormatError, match=r"got a Linear; write torch_model.state_dict\(\)"):
        load_torch(model, theirs)
    for zipped in (True, False):
        path = tmp_path / "model.pt"
        torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(FormatError, match="could run code; write it anew"):
            load_torch(model, path)


@pytest.mark.parametrize("options", [{"proj_size": 2}, {"bias": False}])
def test_an_lstm_of_another_kind_is_refused(options, torch):
    with pytest.raises(FormatError, match="another architecture"):
        load_torch(nn.LSTM.create(KEY, 2, 4), torch.nn.LSTM(2, 4, **options).state_dict())
