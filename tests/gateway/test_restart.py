"""Bugs are caught by name, logged once, and children come back."""

import asyncio
import logging

import pytest

from gateway.errors import BusError
from gateway.model import Quality
from gateway.restart import LIMIT, GaveUp, Guard


class LoopClock:
    """The running loop's time; virtual under looptime."""

    boot = "0" * 32

    def monotonic(self):
        return asyncio.get_running_loop().time()

    async def sleep_until(self, at):
        await asyncio.sleep(max(0.0, at - self.monotonic()))

    def call_at(self, at, callback):
        return asyncio.get_running_loop().call_at(at, callback)


def broken():
    raise KeyError("bug")


def test_a_bug_yields_nothing_and_is_logged_once_until_it_works_again(caplog):
    """Edges only: a rule that fails a thousand times a second writes one traceback."""
    guard = Guard()
    with caplog.at_level(logging.WARNING):
        assert [guard.call("rule x", broken) for _ in range(5)] == [None] * 5
        assert guard.faults == {"rule x": "KeyError: 'bug'"}
        assert guard.call("rule x", lambda: 7) == 7
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert guard.faults == {}
    assert guard.caught == 5


def test_expected_errors_pass_the_guard():
    """BusError is the poller's business, not a bug."""

    def refuse():
        raise BusError(Quality.REFUSED, "exception 4")

    guard = Guard()
    with pytest.raises(BusError):
        guard.call("poll", refuse)
    assert guard.faults == {}


async def test_an_awaited_bug_is_caught_like_a_called_one():
    async def fall():
        broken()

    async def refuse():
        raise BusError(Quality.REFUSED, "exception 4")

    async def work():
        return 3

    guard = Guard()
    assert await guard.wait("poll", fall()) is None
    assert "poll" in guard.faults
    with pytest.raises(BusError):
        await guard.wait("poll", refuse())
    assert await guard.wait("poll", work()) == 3
    assert guard.faults == {}


async def test_cancellation_is_not_a_bug():
    guard = Guard()
    task = asyncio.create_task(guard.wait("poll", asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guard.faults == {}


@pytest.mark.looptime
async def test_a_child_that_ends_is_started_again():
    """Ending is as wrong as raising: both come back, with a pause."""
    starts = []

    async def child():
        starts.append(asyncio.get_running_loop().time())
        if len(starts) == 3:
            await asyncio.Event().wait()

    task = asyncio.create_task(Guard().keep("child", child, LoopClock()))
    await asyncio.sleep(10)
    assert len(starts) == 3
    assert starts[1] - starts[0] < starts[2] - starts[1]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.looptime
async def test_a_child_that_falls_again_and_again_ends_the_process():
    """Too often is for the service manager; a child that falls once an hour is kept for ever."""
    falls = 0

    async def child():
        nonlocal falls
        falls += 1
        broken()

    with pytest.raises(GaveUp, match="child fell"):
        await Guard().keep("child", child, LoopClock())
    assert falls == LIMIT


@pytest.mark.looptime
async def test_a_child_that_falls_rarely_is_kept():
    falls = 0

    async def child():
        nonlocal falls
        falls += 1
        await asyncio.sleep(30)
        broken()

    task = asyncio.create_task(Guard().keep("child", child, LoopClock()))
    await asyncio.sleep(30 * 3 * LIMIT)
    assert falls > LIMIT
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.looptime
async def test_a_child_that_alarms_can_do_without_never_ends_the_process():
    """A console that cannot be opened, a bug in an uplink: tried again for ever, in view as a fault."""
    falls = 0

    async def child():
        nonlocal falls
        falls += 1
        broken()

    guard = Guard()
    task = asyncio.create_task(guard.keep("control", child, LoopClock(), limit=None))
    await asyncio.sleep(600)
    assert falls > 2 * LIMIT
    assert not task.done()
    assert "control" in guard.faults
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.looptime
async def test_a_child_that_fell_once_is_no_fault_for_ever():
    """After a minute without a fall it works again; what it does wrong next is logged anew."""
    guard = Guard()
    falls = iter((broken, broken))

    async def child():
        next(falls, lambda: None)()
        await asyncio.sleep(3600)

    task = asyncio.create_task(guard.keep("bus a", child, LoopClock()))
    await asyncio.sleep(30)
    assert list(guard.faults) == ["bus a"]
    await asyncio.sleep(60)
    assert not guard.faults
    task.cancel()
    await asyncio.wait((task,))


FALLS_AT_ITS_END = [(ZeroDivisionError("played"), True), (BusError(Quality.LINE_DOWN, "played"), False)]


@pytest.mark.parametrize(("error", "is_bug"), FALLS_AT_ITS_END)
async def test_who_is_to_end_ends_though_its_end_falls(error, is_bug):
    """A part whose cleaning up raises would otherwise live on: a bus that a changed site no longer has, a gateway that
    cannot be stopped. A bug is told all the same."""

    async def child():
        try:
            await asyncio.Event().wait()
        finally:
            raise error

    for begin in (lambda guard: guard.wait("child", child()), lambda guard: guard.keep("child", child, LoopClock())):
        guard = Guard()
        task = asyncio.create_task(begin(guard))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ("child" in guard.faults) is is_bug
