"""What a person sees: no dead device looks alive, and one word says why."""

from types import SimpleNamespace

import pytest

from gateway.ledger import Ledger
from gateway.model import (
    Action,
    AlarmClass,
    Command,
    Device,
    Group,
    Kind,
    Lane,
    Point,
    Quality,
    Scan,
    Severity,
    Text,
)
from gateway.pipeline import Pipeline
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.views import WORDS, Views
from gateway.wire import pack
from rules.engine import Engine
from rules.spec import Above, AlarmSpec, Stale
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


HIGH = AlarmSpec(
    "high",
    AlarmClass.WATER,
    Severity.HIGH,
    Above("a/p", 5),
    Text("水压高", "pressure high"),
    advice=Text("停泵", "stop"),
)


async def hidden(tmp_path, *events):
    """The picture of one alarm after some events, over the real pipeline."""
    clock = HandClock(1000.0)
    lanes = [
        Journal(lane, tmp_path / f"{lane}.db", "g", clock, InlineWorker(), 1 << 26, lambda n: "ab" * n) for lane in Lane
    ]
    for lane in lanes:
        await lane.open()
    point = Point("a/p", "p", Kind.FLOAT, "MPa", text=Text("水压", "pressure"))
    group = Group("g", (point,), 1.0)
    engine = Engine([HIGH], {("a", 0): ("a/p",)}, clock.monotonic())
    layouts = {("a", 0): pack.Layout("a", 0, group.points)}
    pipeline = Pipeline(
        engine, {"high": HIGH}, Reporter({("a", 0): group}), layouts, Ledger(lanes[0], clock), lanes[1], clock, Guard()
    )
    for event in events:
        (pipeline.command if isinstance(event, Command) else pipeline.take)(event)
        clock.advance(1.0)
    views = Views(None, [], engine, pipeline, clock, None, {})
    picture = views.table()["alarms"]({})
    for lane in lanes:
        await lane.close()
    return picture, clock


async def test_what_is_hidden_is_listed_with_the_person_and_the_end(tmp_path):
    """Not among those that call; and what it hides is seen."""
    scan = Scan("a", 0, 1000.0, (7.0,), bytes(1))
    picture, clock = await hidden(tmp_path, scan, Command(Action.SHELVE, "high", "Li", 1001.0, "paint", 60.0))
    assert picture["alarms"] == []
    (row,) = picture["aside"]
    assert (row["id"], row["state"], row["present"], row["who"], row["why"]) == ("high", "shelved", True, "Li", "paint")
    assert row["until"] == pytest.approx(clock.wall() + 59.0)
    assert row["hidden_since"] == pytest.approx(clock.wall() - 1.0)


async def test_an_alarm_is_told_with_its_value_and_what_to_do(tmp_path):
    picture, _ = await hidden(tmp_path, Scan("a", 0, 1000.0, (7.0,), bytes(1)))
    (row,) = picture["alarms"]
    assert row["message"]["en"].startswith("pressure high: active, unacknowledged; since ")
    assert row["message"]["en"].endswith("; pressure 7 MPa; to do: stop")
    assert row["advice"] == {"zh": "停泵", "en": "stop"}
    assert picture["aside"] == []


def test_every_word_is_in_both_languages():
    assert all(text.zh and text.en for text in WORDS.values())
