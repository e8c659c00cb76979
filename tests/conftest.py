"""What every test shares: hypothesis' profile, the real data, JAX in float64."""

import gc
import itertools
import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("pullback", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("pullback")


@pytest.fixture
def mnist_dir():
    """The folder of the real MNIST files, through PULLBACK_DATA."""
    data = os.environ.get("PULLBACK_DATA")
    if data is None:
        pytest.skip("PULLBACK_DATA is not set: it names the folder that holds mnist/")
    folder = Path(data) / "mnist"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    return folder


@pytest.fixture
def uncollected():
    """What is dropped is freed by references alone: Python's collector does not run."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


tests_with_jax = itertools.count(1)


@pytest.fixture
def jax():
    """JAX with 64-bit numbers; skips where it is not installed."""
    module = pytest.importorskip("jax", reason="JAX is not installed (extra `crosscheck`)")
    module.config.update("jax_enable_x64", True)
    yield module
    if next(tests_with_jax) % 20 == 0:
        module.clear_caches()  # it keeps what it compiled: 10 MB a test


@pytest.fixture(scope="session")
def torch():
    """PyTorch; skips where it is not installed."""
    return pytest.importorskip("torch", reason="PyTorch is not installed (extra `bench`)")


@pytest.fixture(autouse=True, scope="session")
def compiled_code_of_its_own(tmp_path_factory):
    """Keep machine code of the tests out of the user's cache."""
    os.environ["PULLBACK_CACHE"] = str(tmp_path_factory.mktemp("machine-code"))
