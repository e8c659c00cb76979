"""Streams: every row once in an epoch, the same numbers as in memory, and memory for a window."""

import numpy as np
import pytest
from memory_peak import peak

import pullback as pb
from pullback.core.errors import ConfigError, DataError
from pullback.numpy import random
from pullback.train import Dataset, Recorder, Trainer, load, read_table, sources
from pullback.train.stream import Stream, held_out, window_rows

pd = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")


def frame(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"id": np.arange(n), "x": rng.normal(size=n)})
    found["town"] = rng.choice(["a", "b", "c"], n)
    found["sold"] = rng.random(n) > 0.5
    found["y"] = 2 * found.x + (found.town == "a") + 0.1 * rng.normal(size=n)
    found.loc[rng.random(n) < 0.1, "x"] = np.nan
    return found


def write(path, table, form):
    if form == "parquet":
        table.to_parquet(path / "t.parquet", row_group_size=97)
        return path / "t.parquet"
    if form == "folder":
        (path / "t").mkdir()
        for i, part in enumerate(np.array_split(np.arange(len(table)), 3)):
            table.iloc[part].to_parquet(path / "t" / f"{i}.parquet")
        return path / "t"
    if form == "arrow":
        table.to_feather(path / "t.arrow")
        return path / "t.arrow"
    table.to_csv(path / "t.csv", index=False)
    return path / "t.csv"


def identities(source, part, key=None, batch_size=10):
    """The ids of the rows of an epoch, in the order of training."""
    data = getattr(source, part)
    (feature,) = (f for f in source.preprocessing.features if f.name == "id")
    place = source.preprocessing.features.index(feature)
    column = sum(f.width for f in source.preprocessing.features[:place])
    chosen = [
        window.inputs[order, column] for window, order in data.windows(random.key(key), batch_size)
    ]
    return [np.round(ids * feature.std + feature.mean).astype(int).tolist() for ids in chosen]


def flat(lists):
    return [item for one in lists for item in one]


@pytest.mark.parametrize("form", ["parquet", "folder", "arrow", "csv"])
def test_every_row_comes_once_in_another_order_each_epoch(tmp_path, form):
    path = write(tmp_path, frame(), form)
    source = load(str(path), ["y"], window=128)
    windows = identities(source, "train", key=1)
    first = flat(windows)
    assert [len(w) for w in windows[:-1]] == [120] * (len(windows) - 1)
    held = flat(identities(source, "validation", key=1))
    assert sorted(first + held) == list(range(1000))  # each once, and none in both
    assert len(source.train) == len(first)
    assert 150 < len(held) < 250
    assert first == flat(identities(load(str(path), ["y"], window=128), "train", key=1))
    assert first != flat(identities(source, "train", key=2))
    assert sorted(windows[0]) != windows[0]


@pytest.mark.parametrize("form", ["parquet", "folder", "arrow", "csv"])
def test_what_is_learned_is_what_the_whole_table_teaches(tmp_path, form):
    table = frame()
    source = load(str(write(tmp_path, table, form)), ["y"], window="4kB")
    held = held_out(np.arange(1000), 0, 0.2)
    expected = pb.train.TablePreprocessor.fit(table[~held], ["y"])
    found = source.preprocessing
    assert [(f.name, f.kind, f.categories) for f in found.features] == [
        (f.name, f.kind, f.categories) for f in expected.features
    ]
    for f, e in zip(
        found.features + found.targets, expected.features + expected.targets, strict=True
    ):
        np.testing.assert_allclose([f.mean, f.std], [e.mean, e.std], rtol=1e-12)
    parts = list(source.validation.parts())
    np.testing.assert_allclose(
        np.concatenate([p.inputs for p in parts]), expected.inputs(table[held]), atol=1e-6
    )


def test_the_labels_of_all_rows_are_known(tmp_path):
    table = frame().assign(kind=["rare"] + ["one", "two", "two"] * 333)
    for seed in range(3):
        source = load(str(write(tmp_path, table, "parquet")), ["kind"], window=100, seed=seed)
        assert source.preprocessing.targets[0].classes == ("one", "rare", "two")
        assert set(source.train.trial().targets) == {0, 1, 2}


def trained(data, validation, **options):
    model = pb.nn.mlp(pb.random.key(0), [data.trial().inputs.shape[1], 8, 1])
    trainer = Trainer(model, "mean_squared_error", pb.optim.adam(1e-2), metric="r2", **options)
    recorder = Recorder()
    trainer.fit(data, validation, epochs=3, batch_size=16, callbacks=[recorder])
    return trainer, recorder.losses


def test_a_trainer_takes_windows_through_machine_code_as_through_numpy(tmp_path):
    source = load(str(write(tmp_path, frame(), "parquet")), ["y"], window=200)
    (native, a), (_, b) = (
        trained(source.train, source.validation, compiled=c) for c in (True, False)
    )
    np.testing.assert_allclose(a, b, rtol=1e-3)
    assert len(a) == 3 * -(-len(source.train) // 16)
    assert native.history[-1]["validation_r2"] > 0.6
    parts = [(part.inputs, part.targets) for part in source.validation.parts()]
    whole = Dataset(*map(np.concatenate, zip(*parts, strict=True)))
    assert native.evaluate(whole) == pytest.approx(native.evaluate(source.validation))


def test_one_window_that_holds_all_trains_as_in_memory():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)

    class Pieces(Stream):
        rows, window = 90, 1000
        classes = None

        def pieces(self, key=None):
            return (Dataset(x[i : i + 20], x[i : i + 20, :1]) for i in range(0, 90, 20))

        def fingerprint(self):
            return "pieces"

    stream = Pieces()
    ((window, _),) = stream.windows(random.key(0), 16)
    np.testing.assert_array_equal(window.inputs, x)
    trainer, _ = trained(stream, None)
    assert trainer.history[-1]["train_loss"] < trainer.history[0]["train_loss"]


def test_a_stream_that_miscounts_its_rows_is_refused():
    class Short(Stream):
        rows, window, classes = 50, 20, None

        def pieces(self, key=None):
            yield Dataset(np.ones((30, 2)), np.ones((30, 1)))

        def fingerprint(self):
            return "short"

    with pytest.raises(DataError, match="pieces: expected 50 rows in all, got 30"):
        list(Short().windows(random.key(0), 10))
    with pytest.raises(DataError, match="expected 50 rows"):
        list(Short().parts())


def test_a_stream_resumes_bitwise_and_only_with_its_own_rows(tmp_path):
    source = load(str(write(tmp_path, frame(), "parquet")), ["y"], window=200)

    def fit(epochs, out, data=source, **options):
        trainer = Trainer(
            pb.nn.mlp(pb.random.key(0), [8, 4, 1]), "mean_squared_error", pb.optim.adam(1e-2)
        )
        trainer.fit(data.train, data.validation, epochs=epochs, out=tmp_path / out, **options)
        return (tmp_path / out / "model.safetensors").read_bytes()

    straight = fit(3, "a")
    fit(1, "b")
    assert fit(3, "b", resume=True) == straight
    other = load(str(write(tmp_path, frame(seed=1), "parquet")), ["y"], window=200)
    with pytest.raises(pb.errors.CheckpointError, match="was made with data"):
        fit(3, "b", other, resume=True)


def test_memory_is_that_of_a_window_not_of_the_table(tmp_path):
    n, columns = 100_000, 20
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(n, columns)), columns=[f"x{i}" for i in range(columns)])
    table["y"] = table.x0 - table.x1
    path = tmp_path / "t.parquet"
    table.to_parquet(path, row_group_size=10_000)
    arrays = n * columns * 4  # of the inputs alone, and half of what the columns take

    def train(path):
        source = load(str(path), ["y"], window="400kB")
        model = pb.nn.mlp(pb.random.key(0), [columns, 4, 1])
        trainer = Trainer(model, "mean_squared_error", pb.optim.sgd(1e-2))
        trainer.fit(source.train, source.validation, epochs=1, batch_size=100)

    table.head(5000).to_parquet(tmp_path / "small.parquet")
    train(tmp_path / "small.parquet")  # what is compiled and imported once
    usual = pyarrow.default_memory_pool()
    arrow = pyarrow.proxy_memory_pool(usual)  # tracemalloc does not see Arrow's memory
    pyarrow.set_memory_pool(arrow)
    try:
        taken = peak(train, path)
    finally:
        pyarrow.set_memory_pool(usual)
    assert 0 < arrow.max_memory() < arrays / 2
    assert taken < arrays / 2
    assert peak(lambda: load(str(path), ["y"])) > 2 * arrays


def test_a_csv_file_is_streamed_as_pandas_reads_it(tmp_path):
    rows = ["2024-01-05, house,True,3", ",flat,False,4", "2024-02-05,NA,True,None", "x,,,1"] * 20
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["day,kind,sold,size,y", *(f"{r},{i}" for i, r in enumerate(rows))]))
    streamed = load(str(path), ["y"], task="regression", window=10)
    held = held_out(np.arange(80), 0, 0.2)
    whole = read_table(path)
    found = streamed.preprocessing
    assert [f.categories for f in found.features[:2]] == [
        ("2024-01-05", "2024-02-05", "x"),
        ("flat", "house"),
    ]
    (part,) = streamed.validation.parts()
    np.testing.assert_allclose(part.inputs, found.inputs(whole[held]), rtol=1e-6)


def test_the_index_of_pandas_is_no_column(tmp_path):
    table = frame().sample(frac=1, random_state=0)  # which pandas stores, __index_level_0__
    for named in (table, table.set_index("id")):
        named.to_parquet(tmp_path / "t.parquet")
        for options in ({}, {"window": 100}):
            source = load(str(tmp_path / "t.parquet"), ["y"], **options)
            names = [f.name for f in source.preprocessing.features]
            assert names == [c for c in named.columns if c != "y"]


def test_windows_are_told_in_rows_or_bytes():
    assert window_rows("1GiB", 1024) == 2**20
    assert window_rows(5, 10) == 5
    for wrong in ("many", "1.5", "0", "10 parsecs", "5kB"):
        with pytest.raises(ConfigError, match="window: expected"):
            window_rows(wrong, 10_000)
    with pytest.raises(ConfigError, match="fits into memory"):
        load("houses", window=100)


def test_tables_above_the_limit_are_streamed_unasked(tmp_path, monkeypatch):
    path = str(write(tmp_path, frame(), "csv"))
    assert isinstance(load(path, ["y"]).train, Dataset)
    monkeypatch.setattr(sources, "STREAM_BYTES", 1000)
    assert isinstance(load(path, ["y"]).train, Stream)


def test_bad_rows_are_refused_before_training(tmp_path):
    for column, value, message in [
        ("y", np.nan, "target 'y': expected a value in every row, got none in row 333"),
        ("y", np.inf, "column 'y': expected finite numbers, got infinity in row 333"),
        ("x", -np.inf, "column 'x': expected finite numbers, got infinity in row 333"),
    ]:
        table = frame()
        table.loc[333, column] = value
        for seed in range(3):  # held out or not
            with pytest.raises(DataError, match=message):
                load(str(write(tmp_path, table, "parquet")), ["y"], window=100, seed=seed)
    with pytest.raises(DataError, match=r"'yy' is not in the table.*did you mean"):
        load(str(write(tmp_path, frame(), "parquet")), ["yy"], window=100)
    with pytest.raises(ConfigError, match="the columns are id, x, town, sold, y"):
        load(str(write(tmp_path, frame(), "parquet")), window=100)
    with pytest.raises(DataError, match="3 rows are too few"):
        load(str(write(tmp_path, frame(3), "parquet")), ["y"], window=10, validation=0.01)


def test_files_that_do_not_fit_each_other_are_refused_by_name(tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    with pytest.raises(DataError, match="expected tables"):
        load(str(folder), ["y"])
    frame().to_parquet(folder / "a.parquet")
    frame().rename(columns={"x": "xx"}).to_parquet(folder / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: has no column 'x'.*a\.parquet has"):
        load(str(folder), ["y"])
    (folder / "b.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"expected a readable.*b\.parquet"):
        load(str(folder), ["y"])
    (folder / "b.parquet").unlink()
    frame().to_csv(folder / "b.csv")
    with pytest.raises(DataError, match="files of one format, got csv and parquet"):
        load(str(folder), ["y"])
    lists = pd.DataFrame({"x": [[1, 2], [3]], "y": [1.0, 2.0]})
    lists.to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(DataError, match=r"column 'x': expected numbers.*got list"):
        load(str(tmp_path / "lists.parquet"), ["y"])
    (tmp_path / "t.csv").write_text("x,y\n" + "1,2\n" * 300_000 + "one,2\n")
    with pytest.raises(DataError, match=r"t\.csv.*one"):
        load(str(tmp_path / "t.csv"), ["y"], window=100)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (3, "pieces: expected Datasets, got int"),
        (
            Dataset(np.ones((5, 3)), np.ones((5, 1))),
            r"inputs float64 of shape \(2,\) .*, got inputs float64 of shape \(3,\) and",
        ),
        (Dataset(np.ones((5, 2)), np.ones((5, 1), int)), r"got .* targets int64 of shape \(1,\)"),
        (None, "pieces: expected 10 rows in all, got 5"),
    ],
)
def test_pieces_that_do_not_fit_each_other_are_refused(second, message):
    class Pieces(Stream):
        rows, window, classes = 10, 20, None

        def pieces(self, key=None):
            yield Dataset(np.ones((5, 2)), np.ones((5, 1)))
            if second is not None:
                yield second

        def fingerprint(self):
            return "pieces"

    with pytest.raises(DataError, match=message):
        list(Pieces().windows(random.key(0), 10))


def test_a_stream_of_nothing_is_refused():
    class Nothing(Stream):
        rows, window, classes = 10, 20, None

        def pieces(self, key=None):
            return iter(())

        def fingerprint(self):
            return "nothing"

    with pytest.raises(DataError, match="pieces: expected 10 rows in all, got 0"):
        Nothing().trial()
