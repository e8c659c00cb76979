"""What tests of files have in common."""

import pytest


@pytest.fixture
def path(tmp_path):
    """Where a test writes its model."""
    return tmp_path / "model.onnx"
