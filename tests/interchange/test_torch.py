"""Weights of PyTorch models: the same architecture gives the same outputs and gradients."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import FormatError
from pullback.interchange import load_torch, save_torch

KEY = pb.random.key(0)


@pytest.fixture
def saved(torch, tmp_path):
    """Writes the state_dict of a PyTorch model, trained a little, and returns the path."""
    from safetensors.torch import save_file

    def save(model):
        path = tmp_path / "torch.safetensors"
        save_file(model.state_dict(), path)
        return path

    return save


def unsettled(torch, model, x):
    """Give a PyTorch model other statistics than it begins with, and return it for evaluation."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for _ in range(3):
            model.train()(x + torch.randn_like(x) if x.is_floating_point() else x)
    return model.eval()


def images(*shape):
    """A batch of images, channels last."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def channels_first(torch, x):
    return torch.tensor(np.moveaxis(x, -1, 1).copy())


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


# whole models


def lenet(torch):
    class LeNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = torch.nn.Conv2d(6, 16, 5)
            self.fc1 = torch.nn.Linear(16 * 5 * 5, 120)
            self.fc2 = torch.nn.Linear(120, 84)
            self.fc3 = torch.nn.Linear(84, 10)

        def forward(self, x):
            f = torch.nn.functional
            x = f.max_pool2d(torch.tanh(self.conv1(x)), 2)
            x = f.max_pool2d(torch.tanh(self.conv2(x)), 2)
            x = torch.tanh(self.fc1(x.flatten(1)))
            return self.fc3(torch.tanh(self.fc2(x)))

    ours = nn.Sequential(
        [
            nn.Conv2d.create(KEY, 1, 6, 5, padding=2), nn.Activation("tanh"), nn.MaxPool2d(2),
            nn.Conv2d.create(KEY, 6, 16, 5), nn.Activation("tanh"), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear.create(KEY, 400, 120), nn.Activation("tanh"),
            nn.Linear.create(KEY, 120, 84), nn.Activation("tanh"),
            nn.Linear.create(KEY, 84, 10),
        ]
    )  # fmt: skip
    return ours, LeNet()


def residual(torch, blocks):
    class Block(torch.nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = torch.nn.BatchNorm2d(outputs)
            self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = torch.nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = torch.nn.Sequential(
                    torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    torch.nn.BatchNorm2d(outputs),
                )

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    def layer(inputs, outputs, stride):
        first = Block(inputs, outputs, stride)
        return torch.nn.Sequential(first, *[Block(outputs, outputs, 1) for _ in range(blocks - 1)])

    class ResNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(3, 4, 3, 1, 1, bias=False)
            self.bn1 = torch.nn.BatchNorm2d(4)
            self.layer1, self.layer2 = layer(4, 4, 1), layer(4, 8, 2)
            self.fc = torch.nn.Linear(8, 10)

        def forward(self, x):
            x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
            return self.fc(x.mean((2, 3)))

    return nn.resnet(KEY, 10, widths=(4, 8), blocks=blocks), ResNet()


def gpt(torch, layers=2):
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1 = torch.nn.LayerNorm(16)
            self.attn = torch.nn.MultiheadAttention(16, 4, batch_first=True)
            self.ln2 = torch.nn.LayerNorm(16)
            self.mlp = torch.nn.Sequential(
                torch.nn.Linear(16, 64), torch.nn.GELU(), torch.nn.Linear(64, 16)
            )

        def forward(self, x):
            mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
            y = self.ln1(x)
            x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
            return x + self.mlp(self.ln2(x))

    class GPT(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding = torch.nn.Embedding(20, 16)
            self.position_embedding = torch.nn.Embedding(12, 16)
            self.blocks = torch.nn.ModuleList([Block() for _ in range(layers)])
            self.ln_f = torch.nn.LayerNorm(16)
            self.lm_head = torch.nn.Linear(16, 20, bias=False)

        def forward(self, tokens):
            x = self.token_embedding(tokens)
            x = x + self.position_embedding(torch.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.lm_head(self.ln_f(x))

    return nn.gpt(KEY, 20, 12, features=16, heads=4, layers=layers), GPT()


def test_lenet(torch, saved):
    ours, theirs = lenet(torch)
    x = images(4, 28, 28, 1)
    inputs = channels_first(torch, x)
    unsettled(torch, theirs, inputs)
    loaded = load_torch(ours, saved(theirs))
    assert_close(loaded(x), theirs(inputs))
    inputs.requires_grad_()
    theirs(inputs).square().mean().backward()
    gradient = pb.grad(lambda m, x: np.mean(m(x) ** 2), argnums=(0, 1))(loaded, x)
    assert_close(np.moveaxis(gradient[1], -1, 1), inputs.grad)
    assert_close(gradient[0].layers[9].weight.T, theirs.fc2.weight.grad)
    assert_close(gradient[0].layers[3].weight.transpose(3, 2, 0, 1), theirs.conv2.weight.grad)


@pytest.mark.parametrize("blocks", [1, 2])
def test_resnet_with_its_statistics_and_gradients(torch, saved, blocks):
    ours, theirs = residual(torch, blocks)
    x = images(4, 8, 8, 3)
    inputs = channels_first(torch, x)
    unsettled(torch, theirs, inputs)
    loaded = load_torch(ours, saved(theirs))
    assert_close(loaded(x), theirs(inputs))
    theirs(inputs).square().mean().backward()
    gradient = pb.grad(lambda m: np.mean(m(x) ** 2))(loaded)
    assert_close(gradient.layers[0].weight.transpose(3, 2, 0, 1), theirs.conv1.weight.grad)
    assert_close(nn.training_call(loaded, x)[0], theirs.train()(inputs))


def test_gpt(torch, saved):
    ours, theirs = gpt(torch)
    tokens = np.random.default_rng(0).integers(0, 20, (3, 10))
    unsettled(torch, theirs, torch.tensor(tokens))
    loaded = load_torch(ours, saved(theirs))
    assert_close(loaded(tokens), theirs(torch.tensor(tokens)))
    theirs(torch.tensor(tokens)).square().mean().backward()
    gradient = pb.grad(lambda m: np.mean(m(tokens) ** 2))(loaded)
    assert_close(gradient.layers[0].weight, theirs.token_embedding.weight.grad)
    block = gradient.layers[2].attention
    parts = np.concatenate([p.weight.T for p in (block.query, block.key, block.value)])
    assert_close(parts, theirs.blocks[0].attn.in_proj_weight.grad)


def test_more_than_ten_blocks_keep_their_order(torch, saved):
    ours, theirs = gpt(torch, layers=12)
    tokens = np.arange(8).reshape(1, 8)
    unsettled(torch, theirs, torch.tensor(tokens))
    assert_close(load_torch(ours, saved(theirs))(tokens), theirs(torch.tensor(tokens)))


# layer by layer


def layers(torch):
    t = torch.nn
    return {
        "linear": (nn.Linear.create(KEY, 3, 5), t.Linear(3, 5), (4, 3)),
        "linear, no bias": (nn.Linear.create(KEY, 3, 5, False), t.Linear(3, 5, False), (4, 3)),
        "layer norm": (nn.LayerNorm.create(6), t.LayerNorm(6), (4, 6)),
        "rms norm": (nn.RMSNorm.create(6, eps=1e-6), t.RMSNorm(6, eps=1e-6), (4, 6)),
        "prelu": (nn.PReLU.create(1), t.PReLU(1), (4, 6)),
        "batch norm": (nn.BatchNorm.create(6), t.BatchNorm1d(6), (4, 6)),
    }


def over_space(torch):
    t = torch.nn
    convolution = nn.ConvTranspose2d.create(
        KEY, 4, 6, (3, 2), strides=2, padding=1, output_padding=1, groups=2
    )
    return {
        "conv1d": (nn.Conv1d.create(KEY, 4, 6, 3, padding=1), t.Conv1d(4, 6, 3, padding=1), 1),
        "conv2d": (
            nn.Conv2d.create(KEY, 4, 6, (3, 2), strides=2, groups=2),
            t.Conv2d(4, 6, (3, 2), stride=2, groups=2),
            2,
        ),
        "transposed 1d": (
            nn.ConvTranspose1d.create(KEY, 4, 6, 3, strides=2, bias=False),
            t.ConvTranspose1d(4, 6, 3, stride=2, bias=False),
            1,
        ),
        "transposed 2d": (
            convolution, t.ConvTranspose2d(4, 6, (3, 2), 2, 1, output_padding=1, groups=2), 2,
        ),
        "batch norm": (nn.BatchNorm.create(4), t.BatchNorm2d(4), 2),
        "group norm": (nn.GroupNorm.create(2, 4), t.GroupNorm(2, 4), 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["linear", "linear, no bias", "layer norm", "rms norm", "prelu", "batch norm"]
)
def test_layers_of_rows(torch, saved, name):
    ours, theirs, shape = layers(torch)[name]
    x = images(*shape)
    theirs = unsettled(torch, theirs, torch.tensor(x))
    assert_close(load_torch(ours, saved(theirs))(x), theirs(torch.tensor(x)))


@pytest.mark.parametrize(
    "name", ["conv1d", "conv2d", "transposed 1d", "transposed 2d", "batch norm", "group norm"]
)
def test_layers_over_space(torch, saved, name):
    ours, theirs, axes = over_space(torch)[name]
    x = images(2, *(7, 5)[:axes], 4)
    inputs = channels_first(torch, x)
    theirs = unsettled(torch, theirs, inputs)
    assert_close(np.moveaxis(load_torch(ours, saved(theirs))(x), -1, 1), theirs(inputs))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(("depth", "both"), [(1, False), (2, True)])
def test_recurrent_layers_with_both_biases(torch, saved, kind, depth, both):
    ours = getattr(nn, kind).create(KEY, 3, 4, layers=depth, bidirectional=both)
    theirs = getattr(torch.nn, kind)(3, 4, depth, bidirectional=both, batch_first=True)
    x = images(2, 5, 3)
    unsettled(torch, theirs, torch.tensor(x))
    loaded = load_torch(ours, saved(theirs))
    assert_close(loaded(x), theirs(torch.tensor(x))[0])
    again = getattr(torch.nn, kind)(3, 4, depth, bidirectional=both, batch_first=True)
    assert_close(loaded(x), into_torch(torch, again, loaded, saved)(torch.tensor(x))[0])


def test_bilinear_and_embedding(torch, saved):
    theirs = torch.nn.Bilinear(3, 4, 5)
    x, z = images(2, 3), images(2, 4)
    loaded = load_torch(nn.Bilinear.create(KEY, 3, 4, 5), saved(theirs))
    assert_close(loaded(x, z), theirs(torch.tensor(x), torch.tensor(z)))
    table = torch.nn.Embedding(7, 3)
    indices = np.array([[0, 6], [3, 3]])
    loaded = load_torch(nn.Embedding.create(KEY, 7, 3), table.state_dict())
    assert_close(loaded(indices), table(torch.tensor(indices)))


def into_torch(torch, theirs, ours, saved, **options):
    from safetensors.torch import load_file

    path = saved(theirs)
    save_torch(ours, path, **options)
    theirs.load_state_dict(load_file(path))
    return theirs.eval()


def test_a_sequential_goes_back_into_pytorch(torch, saved):
    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(1, 3, 3), t.BatchNorm2d(3), t.PReLU(), t.MaxPool2d(2), t.Flatten(), t.Dropout(),
        t.Linear(3 * 3 * 2, 4),
    )  # fmt: skip
    ours = nn.Sequential(
        [
            nn.Conv2d.create(KEY, 1, 3, 3), nn.BatchNorm.create(3), nn.PReLU.create(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Dropout.create(KEY), nn.Linear.create(KEY, 18, 4),
        ]
    )  # fmt: skip
    x = images(2, 8, 6, 1)
    assert_close(ours(x), into_torch(torch, theirs, ours, saved)(channels_first(torch, x)))
    assert_close(load_torch(ours, saved(theirs))(x), theirs(channels_first(torch, x)))


def test_lenet_goes_back_by_names(torch, saved):
    ours, theirs = lenet(torch)
    places = {"layers.0": "conv1", "layers.3": "conv2", "layers.7": "fc1", "layers.9": "fc2"}
    x = images(2, 28, 28, 1)
    names = {**places, "layers.11": "fc3"}
    assert_close(
        ours(x), into_torch(torch, theirs, ours, saved, names=names)(channels_first(torch, x))
    )


# without PyTorch: what is ambiguous, and what does not fit


class Own(nn.Module):
    conv: nn.Conv2d
    dense: nn.Linear
    scale: np.ndarray

    def __call__(self, x):
        return self.dense(np.reshape(self.conv(x) * self.scale, (x.shape[0], -1)))


def test_a_model_of_ones_own_says_which_layers_take_flattened_images(torch):
    theirs = torch.nn.ModuleDict({"conv": torch.nn.Conv2d(1, 3, 3)})
    theirs["dense"] = torch.nn.Linear(3 * 4 * 2, 5)
    theirs.register_parameter("scale", torch.nn.Parameter(torch.tensor([2.0])))
    own = Own(nn.Conv2d.create(KEY, 1, 3, 3), nn.Linear.create(KEY, 24, 5), np.zeros(1, np.float32))
    x = images(2, 6, 4, 1)
    with pytest.raises(FormatError, match="flattened="):
        load_torch(own, theirs.state_dict())
    with pytest.raises(FormatError, match="divisors"):
        load_torch(own, theirs.state_dict(), flattened={"dense": 7})
    loaded = load_torch(own, theirs.state_dict(), flattened={"dense": 3})
    rows = (theirs["conv"](channels_first(torch, x)) * 2).flatten(1)
    assert_close(loaded(x), theirs["dense"](rows))
