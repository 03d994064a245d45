"""Report by exception: what is worth a record, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Group, Kind, Point, Quality, Scan
from gateway.report import Reporter

GROUP = Group(
    "g",
    (
        Point("d/level", "level", Kind.FLOAT, dead_band=0.5, longest_interval_s=60),
        Point("d/open", "open", Kind.BOOL, longest_interval_s=60),
        Point("d/text", "text", Kind.TEXT, longest_interval_s=30),
    ),
    1.0,
)


def scan(at, *values, qualities=b"\0\0\0"):
    return Scan("d", 0, at, values, qualities)


def reporter(**options):
    return Reporter({("d", 0): GROUP}, **options)


def test_the_first_scan_is_reported_whole():
    """Nothing is known yet, so everything is news."""
    assert reporter().columns(scan(0, 1.0, 0, "a")) is None


def test_an_unchanged_scan_is_not_reported():
    """Nothing new, nothing said."""
    it = reporter()
    it.columns(scan(0, 1.0, 0, "a"))
    assert it.columns(scan(1, 1.0, 0, "a")) == ()


def test_a_change_within_the_dead_band_is_not_reported_and_does_not_creep():
    """The band lies around the value last reported: a slow drift is reported once it has left it."""
    it = reporter()
    it.columns(scan(0, 1.0, 0, "a"))
    assert it.columns(scan(1, 1.4, 0, "a")) == ()
    assert it.columns(scan(2, 1.5, 0, "a")) == ()
    assert it.columns(scan(3, 1.6, 0, "a")) == (0,)
    assert it.columns(scan(4, 1.2, 0, "a")) == ()


def test_a_boolean_and_a_text_are_reported_on_any_change():
    it = reporter()
    it.columns(scan(0, 1.0, 0, "a"))
    assert it.columns(scan(1, 1.0, 1, "b")) == (1, 2)


def test_the_longest_interval_repeats_an_unchanged_value():
    """A receiver can tell a steady sensor from a dead gateway."""
    it = reporter()
    it.columns(scan(0, 1.0, 0, "a"))
    assert it.columns(scan(30, 1.0, 0, "a")) == (2,)
    assert it.columns(scan(60, 1.0, 0, "a")) is None


def test_silence_is_reported_as_soon_as_it_begins_and_when_it_ends():
    """A quality is news of its own, even when the value was the same before and after."""
    it = reporter()
    it.columns(scan(0, 1.0, 0, "a"))
    dead = bytes([Quality.NOT_RESPONDING] * 3)
    assert it.columns(scan(1, None, None, None, qualities=dead)) is None
    assert it.columns(scan(2, None, None, None, qualities=dead)) == ()
    assert it.columns(scan(3, 1.0, 0, "a")) is None


def test_with_the_option_off_every_scan_is_reported_whole():
    it = reporter(by_exception=False)
    for at in range(3):
        assert it.columns(scan(at, 1.0, 0, "a")) is None


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 1), st.sampled_from("ab")), min_size=1, max_size=50))
def test_whoever_holds_the_last_report_is_never_off_by_more_than_the_dead_band(rows):
    """The law of report by exception, for any course of values."""
    it = reporter()
    held = [None, None, None]
    for at, row in enumerate(rows):
        columns = it.columns(scan(at, *row))
        for index in range(3) if columns is None else columns:
            held[index] = row[index]
        assert abs(held[0] - row[0]) <= 0.5
        assert held[1:] == list(row[1:])
