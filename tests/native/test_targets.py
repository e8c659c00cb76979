"""Code for processors that can do less than this one, and for those of another kind."""

import re
import struct

import llvmlite.binding as llvm
import numpy as np
import pytest
from op_graphs import graph_of
from op_samples import NAMES
from processors import restrict

import pullback as pb
from pullback.core.errors import ConfigError
from pullback.native import engine, program

ARM = engine.Target("aarch64-unknown-linux-gnu", "generic")
RNG = np.random.default_rng(0)


@pytest.fixture(params=[*engine.LEVELS, "generic"])
def level(request, monkeypatch):
    """A level of the processor, where this one has it."""
    restrict(monkeypatch, request.param)
    return request.param


def training_step(dtype=np.float32):
    model = pb.nn.mlp(pb.random.key(0), [12, 37, 3], activation="relu", dtype=dtype)
    optimizer = pb.optim.adam(0.01)
    x, t = RNG.normal(size=(10, 12)).astype(dtype), RNG.integers(0, 3, 10)

    def step(model, state, x, t):
        loss, gradient = pb.value_and_grad(lambda m: pb.nn.losses.softmax_cross_entropy(m(x), t))(
            model
        )
        return *optimizer.update(gradient, state, model), loss

    return step, (model, optimizer.init(model), x, t)


def test_a_training_step_is_right_and_uses_only_what_the_level_has(level):
    step, args = training_step()
    compiled = pb.compile(step)
    for a, b in zip(*(pb.tree.leaves(f(*args)) for f in (compiled, step)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    target, code = engine.target(), compiled.asm
    assert ("zmm" in code) <= target.has("avx512f")
    assert ("ymm" in code) <= target.has("avx2")
    assert ("vfmadd" in code) <= target.has("fma")
    assert engine.vector_bytes() == {"x86-64-v3": 32, "x86-64-v4": 64}.get(level, 16)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i4", "u8", "?"])
def test_loops_are_right_at_every_level(level, dtype):
    x, y = (
        np.clip(RNG.normal(size=shape) * 3, 0 if dtype[0] == "u" else None, None).astype(dtype)
        for shape in ((7, 19), (19, 33))
    )

    def f(x, y):
        return x @ y, np.where(x > 1, x, x[::-1]), np.max(y, axis=0), np.tanh(x) + np.exp(x).sum()

    for a, b in zip(pb.compile(f)(x, y), f(x, y), strict=True):
        rtol = 2e-3 if np.asarray(b).dtype == np.float16 else 1e-5
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)


def test_levels_are_checked(monkeypatch):
    monkeypatch.setenv("PULLBACK_CPU", "pentium")
    with pytest.raises(ConfigError, match=r"PULLBACK_CPU: expected one of native, .*got pentium"):
        engine.target()
    monkeypatch.delenv("PULLBACK_CPU")
    if engine.target().triple.startswith("x86_64"):
        monkeypatch.setattr(engine, "LEVELS", {"x86-64-v9": ("telepathy",)})
        monkeypatch.setenv("PULLBACK_CPU", "x86-64-v9")
        with pytest.raises(ConfigError, match=r"needs \+telepathy.*lower level"):
            engine.target()


@pytest.fixture
def arm(monkeypatch):
    """Object files for Arm, of what is compiled; it cannot be called here."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    made = []

    class NotLoaded:
        def __init__(self, code):
            made.append(code)

        def address(self, name):
            return 1

    monkeypatch.setattr(engine, "target", lambda: ARM)
    monkeypatch.setattr(program, "Loaded", NotLoaded)
    return made


def is_for_arm(code):
    return code[:4] == b"\x7fELF" and struct.unpack_from("<H", code, 18) == (183,)


def test_a_training_step_compiles_for_arm(arm):
    step, args = training_step()
    made = program.NativeProgram(pb.trace(step, *args))
    assert is_for_arm(arm[0])
    code = engine.Compilation(made.llvm).assembly()
    assert re.search(r"fmla\s+v\d+\.4s", code)  # four numbers at a time


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_compiles_for_arm(arm, name):
    program.NativeProgram(graph_of(name, np.float32)[0])
    assert is_for_arm(arm[0])
