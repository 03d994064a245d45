"""What a person sees: no dead device looks alive, and one word says why."""

from types import SimpleNamespace

import pytest

from gateway.model import Device, Group, Kind, Point, Quality, Scan
from gateway.views import WORDS, Views
from rules.engine import Engine
from rules.spec import Stale
from tests.clocks import HandClock
from tests.rules.transcript import alarm


def device(name, bus="line"):
    return Device(name, bus, "test", 1, (Group("g", (Point(f"{name}/p", "p", Kind.INT),), 1.0),))


def seen(at=1000.0, **qualities):
    """Views of devices on one line, each supervised, at a time after their scans; None: never heard."""
    latest = {
        (name, 0): Scan(name, 0, 1000.0, (None if quality else 1,), bytes([quality]))
        for name, quality in qualities.items()
        if quality is not None
    }
    pipeline = SimpleNamespace(latest=latest)
    groups = {(name, 0): (f"{name}/p",) for name in qualities}
    engine = Engine([alarm(Stale(f"{name}/*", 3), f"{name}/silent") for name in qualities], groups, 1000.0)
    for scan in latest.values():
        engine.step(scan, scan.at)
    engine.step(None, at)
    views = Views(None, [device(name) for name in qualities], engine, pipeline, HandClock(at), None, {})
    return {row["id"]: (row["quality"], row["why"]) for row in views.devices()}


@pytest.mark.parametrize(
    ("quality", "why"),
    [
        (Quality.GOOD, ""),
        (Quality.OUT_OF_RANGE, ""),
        (None, "not_yet"),
        (Quality.NOT_YET, "not_yet"),
        (Quality.NOT_RESPONDING, "sensor"),
        (Quality.BAD_FRAME, "sensor"),
        (Quality.SENSOR_FAULT, "sensor"),
        (Quality.LINE_DOWN, "line"),
        (Quality.NO_SUCH_REGISTER, "configuration"),
        (Quality.DRIVER_FAULT, "gateway"),
    ],
)
def test_one_word_says_why_a_device_has_no_data(quality, why):
    """Beside one that answers, so that the line is known to work."""
    assert seen(a=quality, b=Quality.GOOD)["a"][1] == why


def test_a_line_on_which_nobody_answers_is_the_line():
    """A cut cable looks like many dead sensors; a single one on its line cannot be told from it."""
    assert {why for _, why in seen(a=Quality.NOT_RESPONDING, b=Quality.BAD_FRAME).values()} == {"line"}
    assert seen(a=Quality.NOT_RESPONDING) == {"a": ("not_responding", "sensor")}
    assert seen(a=Quality.NOT_RESPONDING, b=None)["a"][1] == "sensor"


def test_a_value_that_nobody_refreshes_does_not_look_alive():
    """A bus that hangs leaves its last good scan: when the rules call the device silent, so does the picture."""
    assert seen(a=Quality.GOOD, at=1002.0) == {"a": ("good", "")}
    assert seen(a=Quality.GOOD, at=1004.0) == {"a": ("not_responding", "sensor")}
    assert {why for _, why in seen(a=Quality.GOOD, b=Quality.GOOD, at=1004.0).values()} == {"line"}


def test_every_word_is_in_both_languages():
    assert all(text.zh and text.en for text in WORDS.values())
