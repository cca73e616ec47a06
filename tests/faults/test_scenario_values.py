"""Durations, moments, amounts, bounds and quantities: read, written back, refused with words that help."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from faults import fields as f

numbers = st.integers(1, 9999)


@given(numbers, st.sampled_from(["ms", "s", "m", "h"]))
def test_durations_come_back_as_written(value, unit):
    text = f"{value}{unit}"
    assert str(f.parse_duration(text)) == text
    assert re.fullmatch(f.DURATION, text)


def test_durations_in_seconds():
    assert f.parse_duration("500ms").seconds() == 0.5
    assert f.parse_duration("2m").seconds() == 120
    assert f.parse_duration("2 layers").seconds({"layer": 15}) == 30
    assert str(f.parse_duration("2 layers")) == "2 layers"
    with pytest.raises(KeyError, match="layers"):
        f.parse_duration("2 layers").seconds({"epoch": 60})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (10, "did you mean 10s"),
        ("10", "not a time"),
        ("10 seconds", "did you mean 10s"),
        ("3 min", "did you mean 3m"),
        ("1m30s", "not a time"),
        ("12:30", "not a time"),
        ("10 blocks", "halted chain"),
        (None, "nothing"),
        (True, "true is not a time"),
        ([1], "a list"),
    ],
)
def test_what_is_no_duration_is_refused(value, said):
    with pytest.raises(PydanticCustomError, match=said):
        f.parse_duration(value)


@pytest.mark.parametrize(
    "text",
    [
        "10s",
        "split",
        "split.2",
        "split + 5s",
        "end of split - 10s",
        "end of split.3 + 1m",
        "next epoch",
        "next epoch - 2 layers",
        "epoch 3",
        "epoch 6 + 1 layer",
    ],
)
def test_moments_come_back_as_written(text):
    assert str(f.parse_moment(text)) == text
    assert re.fullmatch(f.MOMENT, text)


def test_a_moment_is_an_anchor_and_a_distance():
    assert f.parse_moment("end of split - 10s") == f.Moment("end", "split", plus=f.Duration(10), sign=-1)
    assert f.parse_moment("epoch 3") == f.Moment("nth", "epoch", 3)
    assert f.parse_moment("2 layers") == f.Moment("steady", plus=f.Duration(2, "layers"))


@pytest.mark.parametrize("value", ["Split", "split+5s", "after split", 10, None, "10", "split + 5", {}])
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(PydanticCustomError):
        f.parse_moment(value)


@pytest.mark.parametrize("text", ["3", "30%", "33.5%", "minority", "majority", "f", "f+1", "rest"])
def test_amounts_come_back_as_written(text):
    assert str(f.parse_amount(int(text) if text.isdigit() else text)) == text
    assert re.fullmatch(f.AMOUNT, text)


@pytest.mark.parametrize("value", ["130%", -1, "half", 2.5, True, None, "3"])
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(PydanticCustomError):
        f.parse_amount(value)


@pytest.mark.parametrize(
    "text", ["height >= 100", "finality_age > 10m", "version == v1_0", "synced", "lag <= 1"]
)
def test_bounds_come_back_as_written(text):
    assert str(f.parse_bound(text)) == text
    assert re.fullmatch(f.BOUND, text)


def test_a_bound_may_be_negated():
    assert f.parse_bound({"not": "leader"}) == f.Bound("leader", negated=True)
    assert str(f.parse_bound({"not": {"not": "leader"}})) == "leader"
    with pytest.raises(PydanticCustomError):
        f.parse_bound("height >=")


def test_ranges_of_offsets_drifts_and_strobes():
    assert f.parse_offset("-2s..+2s") == f.Range(-2, 2)
    assert f.parse_offset("+200ms") == f.Range(0.2, 0.2)
    assert f.parse_offset("+200ms").is_fixed
    assert f.parse_drift("-500ppm") == f.Range(-500, -500)
    assert f.parse_strobe("100ms..300ms") == f.Range(0.1, 0.3)
    for read, bad in [
        (f.parse_offset, "30s"),
        (f.parse_offset, "+2s..-2s"),
        (f.parse_drift, "+500"),
        (f.parse_strobe, "+1s"),
    ]:
        with pytest.raises(PydanticCustomError):
            read(bad)


def test_one_item_needs_no_brackets():
    targets = f.Targets.model_validate({"of": "n1", "zone": ["eu", "us"]})
    assert (targets.of, targets.zone) == (("n1",), ("eu", "us"))
    assert f.Targets.model_validate(targets.model_dump()) == targets


class Holder(BaseModel):
    whom: f.SetField


@pytest.mark.parametrize("written", ["n1", ["n1", "n2"], {"zone": "eu", "pick": 1}])
def test_a_set_of_nodes_is_a_name_a_list_or_a_mapping(written):
    whom = Holder(whom=written).whom
    assert isinstance(whom, f.Targets)
    assert whom.of == (None if isinstance(written, dict) else tuple(f.as_list(written)))


@pytest.mark.parametrize("written", [3, [], [1], {"zones": "eu"}, None])
def test_what_is_no_set_is_refused(written):
    with pytest.raises(ValidationError):
        Holder(whom=written)


def test_the_json_schema_of_a_set_offers_all_three_forms():
    schema = Holder.model_json_schema()["properties"]["whom"]
    assert [s.get("type", "mapping") for s in schema["anyOf"]] == ["string", "array", "mapping"]


def test_every_field_type_has_a_json_schema():
    for kind in (
        f.DurationField,
        f.MomentField,
        f.AmountField,
        f.BoundField,
        f.OffsetField,
        f.DriftField,
        f.StrobeField,
    ):
        assert TypeAdapter(kind).json_schema()
