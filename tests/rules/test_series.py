"""The notation of series: `rules.series`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Level, Quality
from rules.series import LONGEST, Entry, Word, parse


def said(text):
    return [None if entry is None else entry.value for entry in parse(text)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", [5]),
        ("-0.5 +3 .25 1e3", [-0.5, 3, 0.25, 1000.0]),
        ("0x3 1", [0, 0, 0, 0, 1]),
        ("5+1x3", [5, 6, 7, 8]),
        ("0.3-0.1x3", [0.3, 0.2, 0.1, 0.0]),
        ("-1-1x2", [-1, -2, -3]),
        ("_ _x2 7", [None, None, None, 7]),
        ("'two words' true open-wide 关x1", ["two words", "true", "open-wide", "关", "关"]),
        ("max2x2 xx1", ["max2", "max2", "max2", "x", "x"]),
        ("1x0", [1]),
    ],
)
def test_values_repeats_and_steps_count_as_promtool_does(text, values):
    """``axn`` is a and n more; ``_xn`` is n steps without a reading."""
    assert said(text) == values


def test_a_word_is_told_from_a_text():
    """Only a word can be `usual` or a label; a text in quotes is a text."""
    word, text = parse("usual 'usual'")
    assert (type(word.value), type(text.value)) == (Word, str)


def test_qualities_keep_or_lose_the_value():
    """UNCERTAIN keeps it, BAD has none."""
    assert parse("1? 1?(jumping) stale stale(line_down) bad bad(refused)") == (
        Entry(1, Quality.OUT_OF_RANGE),
        Entry(1, Quality.JUMPING),
        Entry(None, Quality.NOT_RESPONDING),
        Entry(None, Quality.LINE_DOWN),
        Entry(None, Quality.SENSOR_FAULT),
        Entry(None, Quality.REFUSED),
    )
    assert len(parse("stalex2 usualx4 1?x1")) == 3 + 5 + 2


@pytest.mark.parametrize(
    "text",
    ["", "  ", "1 2 3x", "1,2", "_?", "1?(refused)", "bad(jumping)", "stale(hot)", "'open", "1x-3", "--1", "5+x3"],
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", [f"1x{LONGEST}", "_x999999", f"1x{LONGEST - 10} _x20", "1x9999999"])
def test_a_series_without_end_is_refused_before_it_takes_memory(text):
    with pytest.raises(ValueError):
        parse(text)


@given(st.text(alphabet="01 x_+-.?()'staleusbd", max_size=40))
def test_no_text_does_more_than_be_refused(text):
    """Whatever is written, the answer is entries or ValueError; a BAD entry never has a value."""
    try:
        entries = parse(text)
    except ValueError:
        return
    assert all((entry.quality.level is Level.BAD) == (entry.value is None) for entry in entries if entry)
