"""Scans on their way to the telemetry lane, on a real journal, in a time that the test moves."""

import asyncio

import pytest

from gateway.model import Group, Kind, Lane, Point, Quality, Scan
from gateway.readings import BURST_S, Readings
from gateway.report import Reporter
from gateway.wire import pack, payloads
from tests.clocks import HandClock
from tests.gateway.journal_tools import opened

GROUP = Group("g", (Point("d/level", "level", Kind.FLOAT), Point("d/open", "open", Kind.BOOL)), 1.0)
LAYOUTS = {("d", 0): pack.Layout("d", 0, GROUP.points)}


class Way:
    """Readings, and what they wrote."""

    def __init__(self, clock, telemetry):
        self.clock, self.telemetry = clock, telemetry
        self.readings = Readings(Reporter({("d", 0): GROUP}), LAYOUTS, telemetry, clock)

    def scan(self, level, opened=0, quality=0):
        values = (None, None) if quality >= 32 else (level, opened)
        self.readings.take(Scan("d", 0, self.clock.monotonic(), values, bytes([quality] * 2)))

    async def entries(self):
        """Of each pack so far."""
        for _ in range(10):  # the loop hands over what the journal has to say
            await asyncio.sleep(0)
        records = await self.telemetry.after(0, 1000, 1 << 20)
        layouts = pack.Layouts(self.telemetry.state)
        return [list(pack.decode(record.body, layouts)) for record in records if record.kind == payloads.PACK]


@pytest.fixture
async def way(tmp_path):
    clock = HandClock()
    async with opened(tmp_path / "t.db", Lane.TELEMETRY, clock, threaded=False) as telemetry:
        yield Way(clock, telemetry)


async def test_a_burst_is_one_record_30_ms_after_its_first_scan(way):
    """What a kill can take of the readings."""
    way.scan(1.0)
    way.scan(2.0, 1)
    way.clock.advance(BURST_S * 0.9)
    assert await way.entries() == []
    way.clock.advance(BURST_S * 0.2)
    (entries,) = await way.entries()
    assert [entry.values for entry in entries] == [(1.0, 0), (2.0, 1)]


async def test_telemetry_is_committed_at_most_once_a_second(way):
    """An SD card does not live for ever."""
    for step in range(50):
        way.scan(float(step), step % 2)
        way.clock.advance(0.1)
    assert len(await way.entries()) in (5, 6)


async def test_what_is_not_news_is_no_record(way):
    way.scan(1.0)
    way.clock.advance(2.0)
    way.scan(1.0)
    way.clock.advance(2.0)
    assert len(await way.entries()) == 1


async def test_a_large_burst_is_cut_into_packs(way):
    """No message is larger than a slow link can bear."""
    for step in range(1000):
        way.scan(float(step))
    way.clock.advance(1.0)
    packs = await way.entries()
    assert len(packs) > 1
    assert [entry.values[0] for entries in packs for entry in entries] == [float(step) for step in range(1000)]


async def test_silence_takes_the_same_way(way):
    """A dead sensor is a record with a quality and no value."""
    way.scan(1.0)
    way.scan(None, quality=Quality.NOT_RESPONDING)
    way.clock.advance(1.0)
    ((*_, last),) = await way.entries()
    assert last.values == (None, None)
    assert set(last.qualities) == {Quality.NOT_RESPONDING}


async def test_a_commit_between_two_polls_does_not_make_the_next_ones_wait(way):
    """Polls lie on the grid; the first one after a start, a terminal that called, lie anywhere."""
    way.clock.advance(0.7)
    way.scan(1.0)
    for second in range(1, 6):
        way.clock.advance(way.clock.monotonic() // 1 + 1 - way.clock.monotonic())
        way.scan(10.0 * second)
        way.clock.advance(BURST_S * 1.1)
        *_, (*_, entry) = await way.entries()
        assert entry.values[0] == 10.0 * second
        way.clock.advance(0.67)
        way.scan(10.0 * second + 1)
    assert len(await way.entries()) == 6


async def test_a_layout_is_committed_once_with_the_first_pack_that_needs_it(way, monkeypatch):
    """Also of the lane's earlier runs: a card does not live for ever."""
    states, commit = [], way.telemetry.commit
    monkeypatch.setattr(way.telemetry, "commit", lambda drafts, state: states.append(state) or commit(drafts, state))
    for level in (1.0, 2.0):
        way.scan(level)
        way.clock.advance(1.0)
    again = Way(way.clock, way.telemetry)
    again.scan(3.0)
    again.readings.flush()
    layout = LAYOUTS["d", 0]
    assert states == [{f"layout/{layout.id}": layout.to_json()}, {}, {}]


async def test_another_site_goes_on_with_the_burst_and_says_nothing_again_of_what_is_the_same(way):
    """What was taken for the old one is packed as it was read."""
    way.scan(1.0)
    other = Group("h", (Point("e/p", "p", Kind.FLOAT),), 1.0)
    layouts = LAYOUTS | {("e", 0): pack.Layout("e", 0, other.points)}
    way.readings.adopt(Reporter({("d", 0): GROUP, ("e", 0): other}), layouts, 2.0, frozenset({("d", 0)}))
    way.scan(1.0)
    way.readings.take(Scan("e", 0, way.clock.monotonic(), (7.0,), bytes(1)))
    way.readings.flush()
    (entries,) = await way.entries()
    assert [(entry.layout.device, entry.values) for entry in entries] == [("d", (1.0, 0)), ("e", (7.0,))]
    way.scan(2.0)
    way.clock.advance(1.5)
    assert len(await way.entries()) == 1
    way.clock.advance(0.6)
    assert len(await way.entries()) == 2
