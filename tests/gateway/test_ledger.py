"""Records and state on their way to the alarm lane, and who waits for them, on a real journal."""

import asyncio
import json

import pytest

from gateway.ledger import Ledger
from gateway.model import Lane
from tests.clocks import HandClock
from tests.gateway.journal_tools import draft, opened


class Desk:
    """A ledger, and the transactions that it makes."""

    def __init__(self, clock, lane, monkeypatch):
        self.clock, self.lane, self.commits = clock, lane, []
        self.ledger = Ledger(lane, clock)
        commit = lane.commit

        def counted(drafts, state, then=None):
            self.commits.append((len(drafts), {name: body for name, body in state.items() if name != "clocks"}))
            return commit(drafts, state, then)

        monkeypatch.setattr(lane, "commit", counted)

    async def turn(self):
        """Let the loop hand over what the journal has to say."""
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def desk(tmp_path, monkeypatch):
    clock = HandClock()
    async with opened(tmp_path / "a.db", Lane.ALARM, clock, threaded=False) as lane:
        yield Desk(clock, lane, monkeypatch)


async def test_state_goes_with_the_next_commit_of_records(desk):
    """One transaction (law 4), and no second one."""
    desk.ledger.keep({"alarm/x": b"1"})
    desk.clock.advance(0.5)
    desk.ledger.commit([draft()])
    desk.clock.advance(5.0)
    assert desk.commits == [(1, {"alarm/x": b"1"})]


async def test_state_without_records_is_committed_alone_and_soon(desk):
    """What a kill can take of it; the shortest time that was asked for goes for all."""
    desk.ledger.keep({"alarm/x": b"1"})
    desk.ledger.keep({"trail/y": b"2"}, 0.1)
    desk.ledger.keep({"alarm/x": b"3"})
    desk.clock.advance(0.09)
    assert desk.commits == []
    desk.clock.advance(0.02)
    assert desk.commits == [(0, {"alarm/x": b"3", "trail/y": b"2"})]
    desk.clock.advance(5.0)
    assert len(desk.commits) == 1


async def test_state_that_can_wait_for_ever_waits(desk):
    desk.ledger.keep({"trail/y": None}, float("inf"))
    desk.clock.advance(3600.0)
    assert desk.commits == []
    desk.ledger.settle()
    desk.ledger.settle()
    assert desk.commits == [(0, {"trail/y": None})]


async def test_with_each_state_go_the_clocks_that_its_times_are_of(desk):
    """Else a restart could not tell how long ago they were."""
    desk.clock.advance(7.0)
    desk.ledger.commit([draft()])
    assert json.loads(desk.lane.state()["clocks"])["at"] == 1007.0


async def test_what_was_kept_is_found_by_its_prefix(desk):
    desk.ledger.keep({"alarm/x": b"1", "post/x": b"2"})
    desk.ledger.settle()
    assert desk.ledger.under("alarm/") == {"x": b"1"}


async def test_once_written_is_at_once_where_nothing_waits(desk):
    said = []
    desk.ledger.once_written(lambda: said.append("nothing was committed"))
    desk.ledger.commit([draft()])
    await desk.turn()
    desk.ledger.once_written(lambda: said.append("it is on the disk"))
    assert len(said) == 2


async def test_once_written_waits_for_the_commit_of_what_was_taken(desk):
    """With a dead disk for half a second: then the alarm is announced without it (law 5), and so is this."""
    said, jobs = [], []
    desk.lane._writer._worker.submit = jobs.append  # the disk stands still
    desk.ledger.commit([draft()], lambda records, error: said.append(error is not None))
    desk.ledger.once_written(lambda: said.append("confirmed"))
    waiting = asyncio.ensure_future(desk.ledger.written())
    await desk.turn()
    assert not said
    assert not waiting.done()
    desk.clock.advance(0.6)
    await desk.turn()
    assert said == [True, "confirmed"]
    assert waiting.done()
