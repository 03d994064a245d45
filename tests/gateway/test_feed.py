"""Reading ahead: in order, once, and never in anybody's way."""

import asyncio

import pytest

from gateway.errors import StorageError
from gateway.link.feed import AHEAD, Feed
from gateway.model import Lane, Record

pytestmark = pytest.mark.looptime


def record(sequence):
    return Record(Lane.ALARM, "j", "r", sequence, "k", "b", 0.0, 0.0, True, b"{}", 0)


class Disk:
    """A lane of `last` records; each read takes `takes_s`; may fail."""

    def __init__(self, last=0, takes_s=0.01):
        self.last, self.takes_s, self.failing, self.reads = last, takes_s, None, 0
        self.watchers = []

    async def after(self, sequence, limit, limit_bytes):
        self.reads += 1
        await asyncio.sleep(self.takes_s)
        if self.failing:
            raise self.failing
        return [record(n) for n in range(sequence + 1, min(self.last, sequence + limit) + 1)]

    def on_visible(self, callback):
        self.watchers.append(callback)

    def grow(self, last):
        self.last = last
        for watcher in self.watchers:
            watcher()


async def drain(feed, seconds):
    """What comes out when pumped every 10 ms."""
    loop, got = asyncio.get_running_loop(), []
    until = loop.time() + seconds
    while loop.time() < until:
        feed.pump(loop.time())
        got += [one.sequence for one in feed.buffer]
        feed.buffer.clear()
        await asyncio.sleep(0.01)
    return got


async def test_records_come_in_order_and_once_also_those_that_appear_later():
    """From the cursor on; what becomes visible is read without asking again and again."""
    disk = Disk(300)
    feed = Feed(disk, lambda: None)
    feed.restart(10)
    assert await drain(feed, 1) == list(range(11, 301))
    reads = disk.reads
    assert await drain(feed, 60) == []
    assert disk.reads == reads, "an idle feed does not read"
    disk.grow(302)
    assert await drain(feed, 1) == [301, 302]


async def test_no_more_than_a_little_is_read_ahead():
    """A backlog of any length stays on the disk."""
    feed = Feed(Disk(100_000), lambda: None)
    feed.restart(0)
    for _ in range(50):
        feed.pump(0.0)
        await asyncio.sleep(0.02)
    assert len(feed.buffer) == AHEAD


async def test_what_was_being_read_before_a_restart_is_forgotten():
    """A slow answer to an old question does not come out of order."""
    feed = Feed(Disk(5, takes_s=0.5), lambda: None)
    feed.restart(0)
    feed.pump(0.0)
    feed.restart(3)
    assert await drain(feed, 3) == [4, 5]


async def test_a_failing_disk_is_tried_again_once_a_second():
    """Counted; goes on where it was when the disk is back; `unread` ends so that others need not wait."""
    disk = Disk(3)
    disk.failing = StorageError("no")
    feed = Feed(disk, lambda: None)
    feed.restart(0)
    assert feed.unread
    assert await drain(feed, 10) == []
    assert 9 <= feed.failed <= 11
    assert not feed.unread
    disk.failing = None
    assert await drain(feed, 2) == [1, 2, 3]


async def test_a_disk_that_is_well_again_wakes_nobody():
    """The time of the next try is over with it, or the uplink would look each second for ever."""
    disk = Disk(3)
    feed = Feed(disk, lambda: None)
    feed.restart(0)
    disk.failing = StorageError("EIO")
    feed.pump(0.0)
    await asyncio.sleep(0.1)
    feed.pump(0.0)
    assert feed.later() == 1.0
    disk.failing = None
    feed.pump(1.0)
    await asyncio.sleep(0.1)
    feed.pump(1.0)
    assert len(feed.buffer) == 3
    assert feed.later() is None


async def test_a_bug_in_the_lane_goes_up():
    """Only StorageError is an expected answer."""
    disk = Disk(3)
    disk.failing = ZeroDivisionError("a bug")
    feed = Feed(disk, lambda: None)
    feed.restart(0)
    with pytest.raises(ZeroDivisionError):
        await drain(feed, 1)


async def test_a_single_record_is_read_by_its_number():
    """True while it is read, then the record, or False when the lane does not have it."""
    feed = Feed(Disk(5), lambda: None)
    assert feed.single(4, 0.0) is True
    await asyncio.sleep(0.02)
    assert feed.single(4, 0.0) == record(4)
    assert feed.single(9, 0.0) is True
    await asyncio.sleep(0.02)
    assert feed.single(9, 0.0) is False
    assert feed.single(2, 0.0) is True
    await asyncio.sleep(0.02)
    assert feed.single(3, 0.0) is True, "an answer to another question is none"
    feed.close()
