"""SenML: valid JSON whatever the values, BAD never a value, one template a layout."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Kind, Level, Point, Quality
from gateway.wire import pack, senml
from tests.gateway.wire.test_pack import layout_of, scan_of, scans


def said(*entries, gateway="demo-01", offset=1000.0):
    layouts = {layout.id: layout for layout, _, _ in entries}
    return json.loads(
        senml.encode(gateway, offset, pack.decode(pack.encode(entries), layouts)), parse_constant=pytest.fail
    )


def test_an_all_good_scan_reads_as_the_reference_says():
    """Base name and time once, then one record a point with its unit and kind of value."""
    points = [
        Point("smoke-1203/density", "density", Kind.FLOAT, "%/m"),
        Point("smoke-1203/alarm", "alarm", Kind.BOOL),
        Point("smoke-1203/count", "count", Kind.INT),
        Point("smoke-1203/mode", "mode", Kind.ENUM, labels=((0, "idle"), (1, "待机"))),
    ]
    layout = pack.Layout("smoke-1203", 0, points)
    assert said((layout, scan_of(layout, [7.5, 1, -3, 1]), None)) == [
        {"bn": "demo-01/smoke-1203/", "bt": 1012.5, "n": "density", "u": "%/m", "v": 7.5},
        {"n": "alarm", "vb": True},
        {"n": "count", "v": -3},
        {"n": "mode", "vs": "待机"},
    ]


def test_quality_decides_what_is_said():
    """UNCERTAIN: the value and its reason; BAD: the reason alone, without a record of the point's own name."""
    layout = layout_of(Kind.FLOAT, Kind.BOOL, Kind.FLOAT)
    qualities = bytes([Quality.OUT_OF_RANGE, Quality.NOT_RESPONDING, Quality.GOOD])
    assert said((layout, scan_of(layout, [99.0, None, 1.0], qualities), None)) == [
        {"bn": "demo-01/dev-1/", "bt": 1012.5, "n": "p0", "u": "Cel", "v": 99.0},
        {"n": "p0/quality", "vs": "out_of_range"},
        {"n": "p1/quality", "vs": "not_responding"},
        {"n": "p2", "u": "Cel", "v": 1.0},
    ]


def test_digits_follow_the_column():
    """Six significant digits where 16 bits are behind it, nine else."""
    layout = layout_of(Kind.FLOAT, Kind.FLOAT, digits={"p0": 6})
    [first, second] = said((layout, scan_of(layout, [1.23456789012, 1.23456789012]), None))
    assert (first["v"], second["v"]) == (1.23457, 1.23456789)


def test_a_number_without_a_label_is_still_said():
    """An enumeration's unknown number is evidence, not a reason to fall silent."""
    layout = layout_of(Kind.ENUM)
    [record] = said((layout, scan_of(layout, [77]), None))
    assert record["vs"] == "77"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_becomes_bad(value):
    """Also in the fast path: never NaN in the text."""
    layout = layout_of(Kind.FLOAT, Kind.FLOAT)
    records = said((layout, scan_of(layout, [value, 2.0]), None))
    assert [(r["n"], r.get("v"), r.get("vs")) for r in records] == [
        ("p0/quality", None, "not_a_number"),
        ("p1", 2.0, None),
    ]


def test_huge_values_that_overflow_together_are_still_said():
    """The one sum of the fast path may overflow; each value is then looked at alone."""
    layout = layout_of(Kind.FLOAT, Kind.FLOAT)
    assert [r["v"] for r in said((layout, scan_of(layout, [1.7e308, 1.7e308]), None))] == [1.7e308, 1.7e308]


def test_names_units_and_texts_are_escaped():
    """Quotes, percent signs and backslashes in names end in valid JSON, in both paths."""
    points = [Point('d"%s/x', '%d"', Kind.FLOAT, '"%%'), Point("d/t", "t", Kind.TEXT)]
    for some in (points[:1], points):
        layout = pack.Layout('d"%s', 0, some)
        records = said((layout, scan_of(layout, [1.0, 'a"b\\%s\n'][: len(some)]), None), gateway='g"%')
        assert records[0] == {"bn": 'g"%/d"%s/', "bt": 1012.5, "n": '%d"', "u": '"%%', "v": 1.0}
        if len(some) == 2:
            assert records[1]["vs"] == 'a"b\\%s\n'


@given(st.lists(scans(), max_size=4))
def test_every_pack_gives_valid_senml(entries):
    """One usable record for each value, one quality record for each that is not good, in order."""
    records = said(*entries)
    expected = []
    for layout, scan, columns in entries:
        for i in range(len(layout.points)) if columns is None else columns:
            quality = Quality(scan.qualities[i])
            if quality.level is not Level.BAD:
                expected.append(layout.points[i].name)
            if quality:
                expected.append(layout.points[i].name + "/quality")
    assert [record["n"] for record in records] == expected
    assert sum("bn" in record for record in records) == len(entries)
