"""Built-in data, files, and errors that name them."""

import gzip

import numpy as np
import pytest

from pullback.core.errors import ConfigError, DataError
from pullback.train import load, mnist, read_table

pd = pytest.importorskip("pandas")


def test_houses_are_real_and_several():
    source = load("houses")
    assert len(source.train) == 1600
    assert len(source.validation) == 400
    assert source.preprocessing.task == "regression"
    assert [t.name for t in source.preprocessing.targets] == ["price"]
    assert abs(source.train.targets.mean()) < 1e-5  # standardised on the training part alone
    assert abs(source.validation.targets.mean()) > 1e-5


def test_digits_are_classified():
    pytest.importorskip("sklearn")
    source = load("digits")
    assert source.preprocessing.task == "classification"
    assert source.preprocessing.outputs == 10
    assert source.train.targets.dtype == np.int64


def test_the_split_follows_from_the_seed():
    first, again, other = (load("houses-generated", seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)
    assert not np.array_equal(first.train.inputs, other.train.inputs)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_are_read(tmp_path, suffix):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0) ** 2})
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    pd.testing.assert_frame_equal(read_table(path), frame)
    source = load(str(path), ["y"], task="regression")
    assert source.train.inputs.shape == (16, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "expected a CSV or Parquet table"), ("a,b\n", "no rows"), (None, "no such file")],
)
def test_unreadable_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        load(str(path), ["a"])


def test_a_table_with_other_separators_or_letters_says_what_to_write(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1;2\n")
    with pytest.raises(DataError, match="which has a;b; separate its cells by commas"):
        load(path, "b")
    path.write_bytes("a,b\né,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="in UTF-8, got byte 0xe9; write it anew, in UTF-8"):
        load(path, "b")


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"t\.parquet: expected a readable Parquet"):
        read_table(path)


def test_options_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(ConfigError, match="the columns are a, b"):
        load(str(path))
    with pytest.raises(DataError, match="2 rows are too few"):
        load(str(path), ["b"])
    with pytest.raises(ConfigError, match="between 0 and 1, got 1"):
        load("houses", validation=1.0)
    with pytest.raises(ConfigError, match="do not apply"):
        load("mnist", ["digit"])


def test_mnist_is_read_from_its_files(mnist_dir):
    source = load(f"mnist:{mnist_dir}")
    assert source.train.inputs.shape == (60000, 784)
    assert source.validation.inputs.shape == (10000, 784)
    assert source.train.inputs.max() == 1.0
    assert np.bincount(source.validation.targets).tolist()[:2] == [980, 1135]


def test_mnist_that_is_not_there_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.delenv("PULLBACK_DATA", raising=False)
    with pytest.raises(DataError, match=r"PULLBACK_DATA is not set.*pullback data fetch mnist"):
        load("mnist")
    with pytest.raises(DataError, match=str(tmp_path)):
        load(f"mnist:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "IDX file"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "expected 13 bytes.*got 11.*truncated"),
        (b"hello world", "IDX file"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab", mtime=0)[:-9], "readable"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        mnist.read_idx(path)


def test_idx_files_are_read_plain_and_zipped(tmp_path):
    content = b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03abcdef"
    for data in (content, gzip.compress(content)):
        path = tmp_path / "x"
        path.write_bytes(data)
        array = mnist.read_idx(path)
        assert array.shape == (2, 3)
        assert bytes(array[1]) == b"def"


def test_fetch_keeps_only_what_has_the_right_checksum(tmp_path, monkeypatch):
    files = {f"{n}.gz": gzip.compress(n.encode()) for n in ("a", "b")}
    sums = {name: mnist._sha256(content) for name, content in files.items()}
    monkeypatch.setattr(mnist, "CHECKSUMS", sums)
    source = tmp_path / "mirror"
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    monkeypatch.setattr(mnist, "MIRROR", source.as_uri() + "/")
    said = []
    place = mnist.fetch(tmp_path / "data", said.append)
    assert sorted(p.name for p in place.iterdir()) == ["a.gz", "b.gz"]
    mnist.fetch(tmp_path / "data", said.append)
    assert "there already" in said[-1]
    (place / "b.gz").unlink()
    (source / "b.gz").write_bytes(b"tampered")
    with pytest.raises(DataError, match="expected SHA-256"):
        mnist.fetch(tmp_path / "data", said.append)
    assert not (place / "b.gz").exists()
    (source / "b.gz").unlink()
    with pytest.raises(DataError, match="the download failed"):
        mnist.fetch(tmp_path / "data", said.append)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "rows with more cells than the header"),
        ("a,b\n1,2\n4,5,6\n", "Expected 2 fields in line 3, saw 3"),
    ],
)
def test_rows_longer_than_the_header_are_refused(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_a_trailing_comma_in_every_row_shifts_no_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2,\n4,5,\n")
    assert read_table(path)["a"].tolist() == [1, 4]


@pytest.mark.parametrize("seed", range(4))
def test_a_class_that_only_the_held_out_rows_have_is_known(tmp_path, seed):
    rows = [f"{i},{'odd' if i % 2 else 'even'}" for i in range(20)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x,y", *rows, "20,rare"]))
    source = load(str(path), ["y"], seed=seed, validation=0.5)
    assert source.preprocessing.targets[0].classes == ("even", "odd", "rare")


def test_errors_name_the_row_in_the_file_though_rows_are_shuffled(tmp_path):
    rows = [f"{i},{i * 1.5}" for i in range(30)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x,y", *rows, "inf,3"]))
    with pytest.raises(DataError, match="got infinity in row 30"):
        load(str(path), ["y"])
    path.write_text("\n".join(["x,y", *rows, "1,"]))
    with pytest.raises(DataError, match="got none in row 30"):
        load(str(path), ["y"])
