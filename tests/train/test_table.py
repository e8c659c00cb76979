"""Tables become arrays and back, by what the training rows alone tell."""

import json
from decimal import Decimal

import numpy as np
import pytest

from pullback.core.errors import ConfigError, DataError
from pullback.train import TablePreprocessor, from_frame

pd = pytest.importorskip("pandas")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "area": [50.0, 100.0, np.nan, 150.0],
            "kind": ["flat", "house", None, "flat"],
            "sold": [True, False, True, True],
            "same": [1, 1, 1, 1],
            "price": [100.0, 200.0, 300.0, 400.0],
            "fee": [1.0, 2.0, 3.0, 5.0],
        }
    )


def test_columns_become_inputs(frame):
    p = TablePreprocessor.fit(frame, ["price", "fee"])
    assert [(f.name, f.kind, f.width) for f in p.features] == [
        ("area", "numeric", 2),
        ("kind", "categorical", 3),
        ("sold", "numeric", 1),
    ]
    data = p.transform(frame)
    assert data.inputs.dtype == data.targets.dtype == np.float32
    scale = np.std([50.0, 100.0, 150.0])
    np.testing.assert_allclose(data.inputs[:, 0], np.array([-50, 0, 0, 50]) / scale, rtol=1e-6)
    np.testing.assert_array_equal(data.inputs[:, 1], [0, 0, 1, 0])
    np.testing.assert_array_equal(data.inputs[:, 2:5], np.eye(3)[[0, 1, 2, 0]])
    np.testing.assert_allclose(data.targets.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(p.in_units(data.targets), frame[["price", "fee"]], rtol=1e-6)


def test_new_rows_use_what_training_taught(frame):
    p = TablePreprocessor.fit(frame, ["price"])
    new = pd.DataFrame(
        {"fee": [2.75], "kind": ["castle"], "area": [100.0], "sold": [1], "extra": ["x"]}
    )
    x = p.inputs(new)
    np.testing.assert_allclose(x[0, :2], [0, 0], atol=1e-6)
    np.testing.assert_array_equal(x[0, 2:5], [0, 0, 1])  # an unknown category


def test_json_restores_everything_exactly(frame):
    p = TablePreprocessor.fit(frame, ["price", "fee"])
    assert TablePreprocessor.from_json(json.loads(json.dumps(p.to_json()))) == p
    with pytest.raises(DataError, match=r"config\.json"):
        TablePreprocessor.from_json({"features": []})


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b", "a", "a"], "classification"),
        ([True, False, True, True], "classification"),
        ([0, 1, 1, 0], "classification"),
        ([0.5, 1.0, 2.0, 3.0], "regression"),
        ([1, 2, 3, 4.5], "regression"),
    ],
)
def test_the_task_is_told_by_the_target(frame, values, task):
    frame["y"] = values
    assert TablePreprocessor.fit(frame, ["y"]).task == task


def test_classes_keep_their_order_and_names(frame):
    frame["y"] = [10, 9, 10, 9]
    p = TablePreprocessor.fit(frame, ["y"])
    assert p.targets[0].classes == ("9", "10")
    np.testing.assert_array_equal(p.transform(frame).targets, [1, 0, 1, 0])
    assert p.outputs == 2


@pytest.mark.parametrize(
    ("change", "target", "task", "message"),
    [
        ({}, ["prise"], "auto", "'prise' is not in the table.*did you mean 'price'"),
        ({"price": [1.0, np.nan, 2.0, 3.0]}, ["price"], "auto", "none in row 1"),
        ({"price": [1.0, np.inf, 2.0, 3.0]}, ["price"], "auto", "infinity in row 1"),
        ({"area": [1.0, -np.inf, 2.0, 3.0]}, ["price"], "auto", "'area'.*infinity in row 1"),
        ({"price": [7.5] * 4}, ["price"], "regression", "expected values that vary, got only 7.5"),
        ({"price": ["a"] * 4}, ["price"], "auto", "two classes or more, got only 'a'"),
        ({"price": list("abcd")}, ["price"], "auto", "4 classes in 4 rows"),
        ({"price": ["1", "x", "2", "3"]}, ["price"], "regression", "expected numbers, got 'x'"),
        ({}, ["price", "fee"], "classification", "expected one column to classify"),
    ],
)
def test_bad_tables_are_refused(frame, change, target, task, message):
    with pytest.raises(DataError, match=message):
        TablePreprocessor.fit(frame.assign(**change), target, task)


def test_no_rows_no_features_and_repeated_columns_are_refused(frame):
    with pytest.raises(DataError, match="no rows"):
        TablePreprocessor.fit(frame.iloc[:0], ["price"])
    with pytest.raises(DataError, match="no usable feature"):
        TablePreprocessor.fit(frame[["price", "same"]], ["price"])
    with pytest.raises(DataError, match="stands twice"):
        TablePreprocessor.fit(pd.concat([frame, frame[["area"]]], axis=1), ["price"])


def test_what_is_missing_or_unknown_later_is_refused(frame):
    p = TablePreprocessor.fit(frame.assign(y=list("abab")), ["y"])
    with pytest.raises(DataError, match="'area' is not in the table"):
        p.inputs(frame.drop(columns="area"))
    with pytest.raises(DataError, match="expected one of a, b, got 'c'"):
        p.transform(frame.assign(y=list("abac")))
    with pytest.raises(DataError, match="no rows"):
        p.inputs(frame.iloc[:0])
    with pytest.raises(DataError, match="'area': expected numbers, got 'large'"):
        p.inputs(frame.assign(area=["large", "1", "2", "3"]))


@pytest.mark.parametrize(
    "values",
    [
        [Decimal(1), Decimal(2), None, Decimal("4.5")],
        [1, 2, pd.NA, 4.5],
        [np.float32(1), 2, None, 4.5],
    ],
)
def test_numbers_that_lie_in_a_column_as_objects_are_numbers(frame, values):
    odd = frame.assign(odd=pd.Series(values, dtype=object))
    plain = frame.assign(odd=[1.0, 2.0, np.nan, 4.5])
    found, expected = (TablePreprocessor.fit(f, ["price"]) for f in (odd, plain))
    assert found == expected
    np.testing.assert_array_equal(found.inputs(odd), expected.inputs(plain))


def test_names_of_columns_may_be_numbers(frame):
    numbered = frame.rename(columns={"area": 0, "price": 1})
    p = TablePreprocessor.fit(numbered, ["1"])
    assert p.features[0].name == "0"
    assert p.transform(numbered).inputs.shape == (4, p.width)
    with pytest.raises(DataError, match="'0' stands twice"):
        TablePreprocessor.fit(frame.rename(columns={"area": 0, "kind": "0"}), ["price"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1j, 2, 3, 4], "'odd': expected real numbers, got complex128"),
        ([[1], [2], [3], [4]], "'odd': expected numbers, text, .*, got list"),
        ([b"a", b"b", None, b"d"], "'odd': expected numbers, text, .*, got bytes"),
        ([1e200, 2.0, 3.0, 4.0], r"'odd': expected numbers up to 1e\+100, got 1e\+200"),
    ],
)
def test_columns_that_nothing_is_learned_from_are_refused(frame, values, message):
    with pytest.raises(DataError, match=message):
        TablePreprocessor.fit(frame.assign(odd=values), ["price"])


def test_small_numbers_vary_too(frame):
    p = TablePreprocessor.fit(frame.assign(charge=frame["fee"] * 1e-19), ["charge"])
    assert p.targets[0].std > 0
    small, large = (
        TablePreprocessor.fit(frame[["fee", "price"]] * scale, ["price"]) for scale in (1e-19, 1.0)
    )
    np.testing.assert_allclose(
        small.inputs(frame[["fee", "price"]] * 1e-19), large.inputs(frame), rtol=1e-5
    )


@pytest.mark.parametrize("target", [[], (), ["price", "price"]])
def test_targets_are_named_once(frame, target):
    with pytest.raises(ConfigError, match="target: expected the names of the columns to predict"):
        TablePreprocessor.fit(frame, target)


def test_a_single_target_may_be_a_text_and_a_task_has_a_name(frame):
    assert TablePreprocessor.fit(frame, "price") == TablePreprocessor.fit(frame, ["price"])
    with pytest.raises(ConfigError, match=r"task: expected one of auto, .*, got 'guess'"):
        TablePreprocessor.fit(frame, "price", "guess")


def test_only_frames_are_tables(frame):
    for wrong in (frame.to_numpy(), frame["price"]):
        with pytest.raises(DataError, match="frame: expected a pandas DataFrame, got"):
            from_frame(wrong, ["price"])
    for share in (0, 1.0):
        with pytest.raises(ConfigError, match="validation: expected a share between 0 and 1"):
            from_frame(frame, ["price"], validation=share)
