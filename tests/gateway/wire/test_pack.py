"""Packs: what goes in comes out; what is not a pack is refused with one clean error."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeliveryError
from gateway.model import Kind, Level, Point, Quality, Scan
from gateway.wire import pack

KINDS = [Kind.FLOAT, Kind.BOOL, Kind.INT, Kind.ENUM, Kind.TEXT]


def layout_of(*kinds, device="dev-1", group=0, digits=None):
    points = [
        Point(f"{device}/p{i}", f"p{i}", kind, "Cel", labels=((0, "idle"), (1, "up"))) for i, kind in enumerate(kinds)
    ]
    return pack.Layout(device, group, points, digits)


def scan_of(layout, values, qualities=None, at=12.5):
    return Scan(layout.device, layout.group, at, tuple(values), qualities or bytes(len(layout.points)))


VALUES = {
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.BOOL: st.integers(0, 1),
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.ENUM: st.integers(-(2**31), 2**31),
    Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
}


@st.composite
def scans(draw):
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8))
    layout = layout_of(*kinds, device=draw(st.sampled_from(["a", "b"])), group=draw(st.integers(0, 2)))
    qualities = draw(
        st.lists(st.sampled_from([Quality.GOOD] * 8 + list(Quality)), min_size=len(kinds), max_size=len(kinds))
    )
    values = [None if q.level is Level.BAD else draw(VALUES[k]) for k, q in zip(kinds, qualities, strict=True)]
    columns = draw(st.none() | st.sets(st.integers(0, len(kinds) - 1), min_size=1).map(lambda c: tuple(sorted(c))))
    at = draw(st.floats(0, 1e9))
    return layout, Scan(layout.device, layout.group, at, tuple(values), bytes(qualities)), columns


@given(st.lists(scans(), max_size=5))
def test_what_was_packed_comes_out(entries):
    """Each value, quality, time and column survives, in order."""
    layouts = {layout.id: layout for layout, _, _ in entries}
    out = list(pack.decode(pack.encode(entries), layouts))
    assert len(out) == len(entries)
    for entry, (layout, scan, columns) in zip(out, entries, strict=True):
        kept = range(len(layout.points)) if columns is None else columns
        assert (entry.layout, entry.at, entry.columns) == (layout, scan.at, columns)
        assert entry.values == tuple(scan.values[i] for i in kept)
        assert entry.qualities == bytes(scan.qualities[i] for i in kept)


@given(st.binary(max_size=80), st.booleans())
def test_hostile_bytes_give_one_clean_error_or_entries(body, begun):
    """Whatever the bytes: entries or a DeliveryError that is not to be retried, nothing else."""
    layout = layout_of(*KINDS)
    if begun:
        body = pack.VERSION + struct.pack("<Q", layout.id) + body
    errors = []
    try:
        list(pack.decode(body, {layout.id: layout}))
    except DeliveryError as error:
        errors.append(error)
    assert not any(error.retry for error in errors)


@given(scans(), st.data())
def test_a_cut_body_is_refused(entry, data):
    """No prefix of a pack (but the empty pack) reads as a pack."""
    body = pack.encode([entry])
    cut = body[: data.draw(st.sampled_from([0, *range(2, len(body))]))]
    with pytest.raises(DeliveryError):
        list(pack.decode(cut, {entry[0].id: entry[0]}))


def test_an_unknown_layout_is_refused():
    """Without its layout a value has no name: never guess."""
    layout = layout_of(Kind.FLOAT)
    with pytest.raises(DeliveryError):
        list(pack.decode(pack.encode([(layout, scan_of(layout, [1.0]), None)]), {}))


@pytest.mark.parametrize(
    ("kind", "value", "quality"),
    [
        (Kind.FLOAT, "hot", Quality.DRIVER_FAULT),
        (Kind.FLOAT, None, Quality.DRIVER_FAULT),
        (Kind.INT, 1.5, Quality.DRIVER_FAULT),
        (Kind.INT, 2**63, Quality.DRIVER_FAULT),
        (Kind.BOOL, 700, Quality.DRIVER_FAULT),
    ],
)
def test_a_value_that_does_not_fit_becomes_bad_and_spares_the_others(kind, value, quality):
    """One wrong value of a driver costs itself only."""
    layout = layout_of(kind, Kind.FLOAT)
    [entry] = pack.decode(pack.encode([(layout, scan_of(layout, [value, 2.0]), None)]), {layout.id: layout})
    assert entry.values == (None, 2.0)
    assert entry.qualities == bytes([quality, 0])


def test_a_nan_in_a_partial_scan_becomes_not_a_number():
    """No column of a pack says NaN with a quality that lets it be used."""
    layout = layout_of(Kind.FLOAT, Kind.FLOAT)
    [entry] = pack.decode(pack.encode([(layout, scan_of(layout, [math.nan, 2.0]), (0,))]), {layout.id: layout})
    assert entry == (layout, 12.5, (0,), (None,), bytes([Quality.NOT_A_NUMBER]))


def test_a_long_text_is_cut_at_a_whole_character():
    """At most TEXT_BYTES, never half a character."""
    layout = layout_of(Kind.TEXT)
    [entry] = pack.decode(pack.encode([(layout, scan_of(layout, ["x" + "火" * 2000]), None)]), {layout.id: layout})
    assert entry.values == ("x" + "火" * 341,)


def test_layouts_are_stable_and_come_back_from_their_description():
    """Same points, same id, in every run; another digit count, name, unit or order is another layout."""
    layout = layout_of(*KINDS, digits={"p0": 6})
    again = pack.Layout.from_json(layout.to_json())
    assert again == layout
    assert again.id == layout.id
    assert again.digits == (6, 9, 9, 9, 9)
    assert len({layout.id, layout_of(*KINDS).id, layout_of(*reversed(KINDS)).id, layout_of(*KINDS, group=1).id}) == 4
    assert layout_of(Kind.FLOAT).id == 13093807860296688600, "an id in a journal on disk must stay readable"


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"{", b'{"columns":[[1]],"device":"d","group":0}', b"\xff", b"[" * 99999]
)
def test_a_broken_layout_description_is_refused(text):
    """The lane's state can hold rubbish: one clean error."""
    with pytest.raises(DeliveryError):
        pack.Layout.from_json(text)


def test_layouts_are_read_from_the_lanes_state_when_first_needed():
    """A layout stored after the start is found; other keys of the state are not its business."""
    state = {"position": b"1"}
    layouts = pack.Layouts(lambda: state)
    layout = layout_of(Kind.FLOAT)
    assert layout.id not in layouts
    state[f"layout/{layout.id}"] = layout.to_json()
    assert layouts[layout.id] == layout
    assert dict(layouts) == {layout.id: layout}


def test_the_size_is_about_what_senml_takes():
    """The pipeline cuts packs by it: within a third for ordinary values."""
    from gateway.wire import senml

    layout = layout_of(*[Kind.FLOAT, Kind.BOOL, Kind.INT, Kind.ENUM] * 10)
    scan = scan_of(layout, [21.375, 1, 1234, 1] * 10)
    body = pack.encode([(layout, scan, None)])
    text = senml.encode("demo-01", 1.79e9, pack.decode(body, {layout.id: layout}))
    assert 0.75 < layout.size(None) / len(text) < 1.33
    assert layout.size((0, 1)) < layout.size(None) / 5
