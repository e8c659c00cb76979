"""Files that are truncated, damaged, or made to do harm: refused, and nothing in them is run."""

import numpy as np
import pytest
from onnx_running import RNG, floats, write

import pullback as pb
from pullback import nn
from pullback.core.errors import FormatError, UnsupportedError
from pullback.interchange import export_onnx, import_onnx
from pullback.interchange.onnx import files

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

KEY = pb.random.key(0)


def test_truncated_and_foreign_files_are_refused(path):
    content = export_onnx(nn.mlp(KEY, [3, 8, 2]), floats(1, 3), path=path).read_bytes()
    cuts = [content[:n] for n in (0, 1, 10, len(content) // 2, len(content) - 1)]
    for bad in (*cuts, b"PK\x03\x04 no model", b"\x80\x04pickle.", content[::-1]):
        path.write_bytes(bad)
        with pytest.raises((FormatError, UnsupportedError)):
            import_onnx(path)
    with pytest.raises(FormatError, match="cannot be read"):
        import_onnx(path.with_name("missing.onnx"))


def test_damaged_bytes_never_run_or_crash(path):
    content = export_onnx(nn.mlp(KEY, [3, 4, 2]), floats(1, 3), path=path).read_bytes()
    for place in RNG.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << RNG.integers(8)
        path.write_bytes(bytes(damaged))
        try:
            model = import_onnx(path)
        except (FormatError, UnsupportedError):
            continue
        assert all(a.dtype.kind == "f" for a in model.parameters.values())


def external(path, location, **entries):
    """A model whose weight is said to lie at `location`."""
    weight = numpy_helper.from_array(floats(3), "w")
    data = weight.raw_data
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [weight],
    )
    versions = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return data


def test_weights_beside_the_model_are_read(path):
    data = external(path, "weights.bin", offset=4)
    path.with_name("weights.bin").write_bytes(b"0000" + data)
    np.testing.assert_array_equal(import_onnx(path).parameters["w"], np.frombuffer(data, "f4"))


def test_weights_elsewhere_are_not_read(path, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(12))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    (folder / "folder").mkdir()
    (folder / "short.bin").write_bytes(bytes(8))
    model = folder / "model.onnx"
    for location in ("../secret.bin", str(secret), "link.bin", "folder", "", "..\\secret.bin", "."):
        external(model, location)
        with pytest.raises(FormatError):
            import_onnx(model)
    entries = [{}, {"offset": -4}, {"length": 100}, {"offset": "x"}, {"offset": 4, "length": 8}]
    for wrong in entries:
        external(model, "short.bin", **wrong)
        with pytest.raises(FormatError):
            import_onnx(model)


# functions


def with_functions(path, bodies):
    """A model that calls the last function; `bodies` are the nodes of each, from x to y."""
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function("own", name, ["x"], ["y"], nodes, versions)
        for name, nodes in bodies.items()
    ]
    graph = helper.make_graph(
        [call(list(bodies)[-1], "x", "y")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=versions, functions=functions, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def call(name, x, y):
    return helper.make_node(name, [x], [y], domain="own")


def doubling(count):
    """Functions, each of which calls the one before twice."""
    bodies = {"f0": [helper.make_node("Neg", ["x"], ["y"])]}
    for i in range(1, count):
        bodies[f"f{i}"] = [call(f"f{i - 1}", "x", "t"), call(f"f{i - 1}", "t", "y")]
    return bodies


def test_functions_of_a_model_are_written_out(path):
    model = import_onnx(with_functions(path, {**doubling(4), "last": [call("f0", "x", "y")]}))
    np.testing.assert_array_equal(model(np.ones(3, np.float32)), -np.ones(3))
    model = import_onnx(with_functions(path, doubling(4)))
    assert len(model.content.body.instructions) == 8


def test_functions_that_grow_without_bound_are_refused_at_once(path):
    with pytest.raises(FormatError, match="written out where they are called, have"):
        import_onnx(with_functions(path, doubling(60)))
    for endless in ({"f": [call("f", "x", "y")]}, doubling(2000)):
        with pytest.raises(FormatError, match="too deep, or without end"):
            import_onnx(with_functions(path, endless))


def test_a_function_in_a_model_reads_no_file_either(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    constant = numpy_helper.from_array(floats(3), "c")
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="secret.bin")
    nodes = [
        helper.make_node("Constant", [], ["c"], value=constant),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(FormatError, match="keeps a weight of a function in another file"):
        import_onnx(with_functions(path, {"Secret": nodes}))


# numbers in the file


def test_more_than_onnx_can_check_is_not_read(path, monkeypatch):
    data = external(path, "weights.bin")
    path.with_name("weights.bin").write_bytes(data)
    monkeypatch.setattr(files, "LARGEST", len(data) - 1)
    with pytest.raises(UnsupportedError, match="more than 2 GiB"):
        import_onnx(path)


@pytest.mark.parametrize("dims", [[2**40], [2**31, 2**31], [0, 2**62], [-3], [2**62, 4]])
def test_shapes_that_the_stored_numbers_do_not_fill_are_refused(dims, path):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(12))
    node = helper.make_node("Relu", ["x"], ["y"])
    model = onnx.load(write([node], path, {"x": floats(2)}, ndim=1))
    model.graph.initializer.append(weight)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError):
        import_onnx(path)


@pytest.mark.parametrize("note", ["[" * 10**5, "5", "[[]]", "{", '"w"x'])
def test_damaged_notes_are_refused(note, path):
    model = onnx.load(
        write([helper.make_node("Relu", ["x"], ["y"])], path, {"x": floats(2)}, ndim=1)
    )
    helper.set_model_props(model, {"pullback.state": note})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=r"its entry .* is damaged"):
        import_onnx(path)
