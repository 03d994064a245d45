"""The journal on a failing disk: an alarm is told in time, nothing is lost, doubled or renumbered when it heals."""

import asyncio
import os
import resource
import shutil
import subprocess
from contextlib import suppress

import pytest

from gateway.errors import StorageError
from gateway.model import Lane
from gateway.store import journal as module
from tests.gateway.journal_tools import (
    GAPS,
    StillClock,
    bodies,
    commit,
    draft,
    everything,
    faulty_disk,
    numbers,
    opened,
)
from tests.waiting import until

TARGET_S = 0.5
TOLERANCE = 5

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def disk():
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Until the file system has no room; returns the file to take away."""
    filler = place / "filler"
    with open(filler, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def fill_inodes(place):
    """Until no file can be made; returns those to take away."""
    fillers = []
    with suppress(OSError):
        while True:
            fillers.append(place / f"f{len(fillers)}")
            fillers[-1].touch()
    return fillers


def remount(place, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", place], check=True)


async def told_in_time(journal, *some, state=None):
    """Commit; it must be told within 5 x 0.5 s; (records, error)."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    result = await commit(journal, *some, state=state)
    assert loop.time() - start < TARGET_S * TOLERANCE
    return result


async def healed(journal):
    await until(lambda: journal.counters().failing_since is None and not journal.counters().waiting, 10)


@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("fault", ["write", "sync", "full"])
@pytest.mark.parametrize("lane", Lane)
async def test_a_failing_disk_is_told_at_once_and_healed_without_loss(tmp_path, disk, lane, fault, tries):
    """EIO on write, EIO on sync (with the bytes out), ENOSPC: told not durable, then durable with the same ids, once.

    After some tries the file was opened again and shows what the failed sync left in it: it is not read, not written twice.
    """
    path = tmp_path / "j.db"
    async with opened(path, lane) as journal:
        first, _ = await commit(journal, b"1", state={"a": b"1"})
        disk.failing.add(fault)
        second, error = await told_in_time(journal, b"2", state={"a": b"2", "b": b"2"})
        assert isinstance(error, StorageError)
        assert not second[0].durable
        assert journal.counters().failing_since is not None
        await until(lambda: journal.counters().failures >= tries)
        third, error = await told_in_time(journal, b"3", b"4", state={"b": None})
        assert error
        visible = numbers(await everything(journal))
        assert visible == ([1, 2, 3, 4] if lane is Lane.ALARM else [1])
        disk.heal()
        await healed(journal)
        found = await everything(journal)
        assert numbers(found) == [1, 2, 3, 4]
        assert all(record.durable for record in found)
        assert [record.crc for record in found] == [record.crc for record in first + second + third]
        assert await journal.verify() is None
    async with opened(path, lane) as journal:
        assert bodies(await everything(journal)) == [b"1", b"2", b"3", b"4"]
        assert journal.state() == {"a": b"2"}
        assert journal.counters().failing_since is None


async def test_a_slow_sync_is_told_after_half_a_second_and_written_once(tmp_path, disk):
    """Not failed, only slow: announced, then durable; one row each; later commits wait their turn."""
    async with opened(tmp_path / "j.db") as journal:
        disk.gate.clear()
        loop = asyncio.get_running_loop()
        start = loop.time()
        told = []
        journal.commit([draft(b"1")], {}, lambda *args: told.append(("first", loop.time() - start, *args)))
        journal.commit([draft(b"2")], {}, lambda *args: told.append(("second", loop.time() - start, *args)))
        await until(lambda: len(told) == 2)
        for _, after_s, records, error in told:
            assert 0.45 < after_s < TARGET_S * TOLERANCE
            assert error
            assert not records[0].durable
        assert journal.counters().failing_since is not None
        assert numbers(await everything(journal)) == [1, 2]
        disk.heal()
        await healed(journal)
        assert [word for word, *_ in told] == ["first", "second"]
        assert numbers(await everything(journal)) == [1, 2]
        assert journal.counters().failures == 0
        rows = journal._file._db.execute("SELECT sequence FROM record ORDER BY sequence").fetchall()
        assert rows == [(1,), (2,)]


async def test_a_hanging_disk_does_not_hide_a_new_alarm_behind_the_backlog(tmp_path, disk):
    """The reader asks for an old record that only the disk has: it gets the new alarm instead, in time; the rest later."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"old")
    async with opened(tmp_path / "j.db") as journal:
        disk.gate.clear()
        await told_in_time(journal, b"new")
        start = asyncio.get_running_loop().time()
        assert bodies(await journal.after(0, 10, 10**6)) == [b"new"]
        assert bodies(await journal.after(0, 10, 10**6)) == [b"new"]
        assert bodies(await journal.unsettled("a")) == [b"new"]
        assert asyncio.get_running_loop().time() - start < 1.0 * TOLERANCE
        disk.heal()
        await healed(journal)
        await until(journal._reader._hanging.done)
        assert bodies(await journal.unsettled("a")) == [b"old", b"new"]
        assert bodies(await everything(journal)) == [b"old", b"new"]


async def test_what_a_failed_sync_left_in_the_file_is_not_read_as_durable(tmp_path, disk):
    """The file was opened again and shows it; until it is known to be on the disk a position must not count it."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        await commit(journal, b"1")
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        await commit(journal, b"2")
        disk.failing.add("sync")
        await told_in_time(journal, b"3")
        disk.failing = {"database"}
        await until(lambda: journal._file._last == 3)
        assert bodies(await everything(journal)) == [b"1", b"2"]
        disk.heal()
        await healed(journal)
        assert bodies(await everything(journal)) == [b"1", b"2", b"3"]


async def test_telemetry_is_not_read_around_a_failing_disk(tmp_path):
    """A cumulative position must not pass what could not be read: the reader is told."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        await commit(journal, b"old")
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        journal._file.close()
        with pytest.raises(StorageError):
            await journal.after(0, 10, 10**6)


async def test_later_commits_stay_behind_the_tail(tmp_path, disk):
    """Order is kept over several failures and retries."""
    async with opened(tmp_path / "j.db") as journal:
        disk.failing.add("sync")
        for number in range(10):
            await told_in_time(journal, b"%d" % number)
        await until(lambda: journal.counters().failures >= 3)
        disk.heal()
        await told_in_time(journal, b"10")
        await healed(journal)
        assert bodies(await everything(journal)) == [b"%d" % number for number in range(11)]
        assert journal.counters().failures >= 3


async def test_a_crash_on_a_dead_disk_gives_no_id_twice(tmp_path, disk):
    """What was announced and lost keeps its id for itself: the next run has another name."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1")
        disk.failing.add("write")
        lost, _ = await told_in_time(journal, b"lost")
        (tmp_path / "copy").mkdir()
        for part in tmp_path.glob("j.db*"):
            shutil.copy(part, tmp_path / "copy")
        disk.heal()
    async with opened(tmp_path / "copy" / "j.db") as journal:
        again, _ = await commit(journal, b"other")
        assert again[0].sequence == lost[0].sequence
        assert again[0].journal == lost[0].journal
        assert again[0].run != lost[0].run
        assert bodies(await everything(journal)) == [b"1", b"other"]
        assert await journal.verify() is None


async def test_the_tail_is_bounded_counted_and_told_when_the_disk_is_back(tmp_path, disk):
    """Repeats fold first; other alarms stay; a gap record names what went; the chain is sound around it."""
    async with opened(tmp_path / "j.db", tail_bytes=100_000) as journal:
        disk.failing.add("full")
        quiet = [b'{"alarm":"quiet-%d"}' % number for number in range(10)]
        for body in quiet:
            journal.commit([draft(body)], {"last": body})
        for number in range(2000):
            journal.commit([draft(b'{"alarm":"chatter","n":%d}' % number)], {"n": b"%d" % number})
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: journal.counters().announced >= 2010)
        assert journal.counters().waiting_bytes < 150_000
        disk.heal()
        await healed(journal)
        found = await everything(journal)
        told = [record for record in found if record.kind in GAPS]
        assert set(quiet) <= set(bodies(found))
        assert bodies(found)[-1] == b'{"alarm":"chatter","n":1999}'
        dropped = journal.counters().dropped["memory"]
        assert dropped == 2010 - len(bodies(found)) > 1000
        assert told
        assert await journal.verify() is None
        assert journal.state() == {"last": quiet[-1], "n": b"1999"}
    async with opened(tmp_path / "j.db") as journal:
        assert journal.state() == {"last": quiet[-1], "n": b"1999"}
        assert await journal.verify() is None


async def test_a_file_larger_than_allowed_is_a_disk_error_as_any(tmp_path):
    """RLIMIT_FSIZE: the kernel's own EFBIG instead of an injected one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1")
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "j.db-wal").stat().st_size, hard))
        try:
            records, error = await told_in_time(journal, b"2" * 9000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert error
        assert not records[0].durable
        await healed(journal)
        assert bodies(await everything(journal)) == [b"1", b"2" * 9000]


@needs_root
async def test_a_full_disk_announces_and_recovers(small_disk):
    """A real ENOSPC, made and taken away."""
    async with opened(small_disk / "j.db") as journal:
        await commit(journal, b"1", state={"a": b"1"})
        filler = fill(small_disk)
        errors = [(await told_in_time(journal, b"%d" % number * 3000))[1] for number in range(2, 6)]
        assert any(errors)
        filler.unlink()
        await healed(journal)
        assert numbers(await everything(journal)) == [1, 2, 3, 4, 5]
        assert await journal.verify() is None
    async with opened(small_disk / "j.db") as journal:
        assert numbers(await everything(journal)) == [1, 2, 3, 4, 5]


@needs_root
async def test_out_of_inodes_at_start_works_from_memory(small_disk):
    """The file cannot be made: alarms are told and visible under a journal of its own; on the disk when it can be."""
    fillers = fill_inodes(small_disk)
    async with opened(small_disk / "j.db") as journal:
        assert not journal.opened.durable
        assert journal.opened.why
        records, error = await told_in_time(journal, b"alarm", state={"a": b"1"})
        assert error
        assert bodies(await everything(journal, journal.position("a"))) == [b"alarm"]
        for filler in fillers[:8]:
            filler.unlink(missing_ok=True)
        await healed(journal)
        again = await everything(journal, journal.position("a"))
        assert [record.crc for record in again][-1] == records[0].crc
        assert await journal.verify() is None
    async with opened(small_disk / "j.db") as journal:
        assert journal.opened.journal == records[0].journal
        assert journal.opened.first == records[0].sequence + 1
        assert journal.state() == {"a": b"1"}
        assert bodies(await everything(journal)) == [b"alarm"]


@needs_root
@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize("lane", Lane)
async def test_a_read_only_disk_at_start_is_read_and_written_when_it_can_be(tmp_path, small_disk, lane, crashed):
    """State and backlog are there (law 4); new records go under a journal of their own, visible at once, durable later."""
    async with opened(tmp_path / "j.db", lane) as journal:
        journal.settle_to("u", 1)
        await commit(journal, b"1", b"2", state={"a": b"1"})
        journal.settle_to("u", 1)
        await commit(journal)
        old = journal.opened.journal
        if crashed:  # the log is still there, with all of it
            for part in tmp_path.glob("j.db*"):
                shutil.copy(part, small_disk)
    if not crashed:
        shutil.copy(tmp_path / "j.db", small_disk)
    remount(small_disk, "ro")
    async with opened(small_disk / "j.db", lane) as journal:
        assert not journal.opened.durable
        assert journal.state() == {"a": b"1"}
        assert journal.position("u") == 1
        records, error = await told_in_time(journal, b"3", state={"a": b"2"})
        assert error
        assert records[0].journal == journal.opened.journal != old
        found = await everything(journal, 1)
        assert bodies(found) == [b"2", b"3"]
        journal.settle_to("u", records[0].sequence)
        assert journal.position("u") == 1  # the older journal's record is still to be settled
        remount(small_disk, "rw")
        await healed(journal)
        assert bodies(await everything(journal, 1)) == [b"2", b"3"]
        assert await journal.verify() is None
        journal.settle_to("u", 2)
        assert journal.position("u") == records[0].sequence
    async with opened(small_disk / "j.db", lane) as journal:
        assert journal.opened.journal == records[0].journal
        assert journal.state() == {"a": b"2"}
        assert bodies(await everything(journal)) == [b"1", b"2", b"3"]
        assert await journal.verify() is None


@pytest.mark.parametrize("lane", Lane)
async def test_a_file_that_could_not_be_seen_at_start_is_joined_when_it_comes_back(tmp_path, lane):
    """A late mount: old records keep their ids and their positions, new ones theirs; nothing is passed over."""
    place, away = tmp_path / "journal", tmp_path / "away"
    place.mkdir()
    async with opened(place / "j.db", lane) as journal:
        await commit(journal, b"1", b"2", b"3", state={"old": b"1", "both": b"1", "erased": b"1"})
        journal.settle_to("u", 1)
        old = journal.opened.journal
    place.rename(away)
    place.write_bytes(b"not a directory")
    async with opened(place / "j.db", lane) as journal:
        assert not journal.opened.durable
        records, error = await told_in_time(journal, b"4", state={"both": b"2", "erased": None})
        assert error
        start = journal.position("u")
        assert bodies(await everything(journal, start)) == [b"4"]
        journal.settle_to("u", records[0].sequence)
        place.unlink()
        away.rename(place)
        await healed(journal)
        assert journal.position("u") == 1
        assert bodies(await everything(journal, 1)) == [b"2", b"3", b"4"]
        assert bodies(await journal.unsettled("u")) == [b"2", b"3"]
        assert journal.journals == (old, records[0].journal)
        assert journal.state() == {"old": b"1", "both": b"2"}
        journal.settle_to("u", 3)
        assert journal.position("u") >= records[0].sequence
        assert await journal.verify() is None
    async with opened(place / "j.db", lane) as journal:
        assert bodies(await everything(journal)) == [b"1", b"2", b"3", b"4"]
        assert journal.state() == {"old": b"1", "both": b"2"}
        assert journal.position("u") >= records[0].sequence
        assert journal.opened.journal == records[0].journal


async def test_a_directory_that_is_removed_is_made_again(tmp_path):
    """Writing on into a deleted file would lose all: it is noticed at the next commit; the loss is told, numbers go on."""
    place = tmp_path / "journal"
    async with opened(place / "j.db") as journal:
        await commit(journal, b"1", b"2", state={"a": b"1"})
        journal.settle("u", [1])
        shutil.rmtree(place)
        told, _ = await told_in_time(journal, b"3", state={"b": b"2"})
        await healed(journal)
        await until(lambda: journal.counters().dropped.get("lost") == 2)
        await healed(journal)
        assert told[0].sequence == 3
        assert await journal.verify() is None
        assert journal.position("u") >= 2
    async with opened(place / "j.db") as journal:
        found = await everything(journal)
        assert bodies(found) == [b"3"]
        assert [record for record in found if record.kind in GAPS]
        assert journal.state() == {"a": b"1", "b": b"2"}
        assert journal.opened.journal == told[0].journal
        assert journal.position("u") == 3 - 1


async def test_a_directory_that_is_removed_while_the_disk_is_full_is_made_again(tmp_path, disk):
    """The new file is half made for a while; in the end it has all that is known, and the loss is told."""
    place = tmp_path / "journal"
    async with opened(place / "j.db") as journal:
        await commit(journal, b"1", state={"a": b"1"})
        shutil.rmtree(place)
        disk.failing.add("full")
        await told_in_time(journal, b"2")
        await until(lambda: journal.counters().failures >= 3)
        disk.heal()
        await healed(journal)
        await until(lambda: journal.counters().dropped == {"lost": 1} and not journal.counters().waiting)
    async with opened(place / "j.db") as journal:
        assert journal.state() == {"a": b"1"}
        assert bodies(await everything(journal)) == [b"2"]
        assert await journal.verify() is None


@pytest.mark.parametrize("fault", ["write", "full"])
async def test_a_settlement_that_shared_a_failed_commit_is_written_with_a_later_one(tmp_path, disk, fault):
    """Else it would come back after every restart."""
    async with opened(tmp_path / "j.db") as journal:
        journal.position("u")
        await commit(journal, b"1")
        journal.settle("u", [1])
        disk.failing.add(fault)
        await told_in_time(journal, b"2")
        disk.heal()
        await healed(journal)
    async with opened(tmp_path / "j.db") as journal:
        assert journal.position("u") == 1


async def test_another_process_wrote_meanwhile_is_refused(tmp_path, disk):
    """Numbers that are taken by another run are not overwritten: the lane stays in memory and says why."""
    async with opened(tmp_path / "j.db") as journal:
        await commit(journal, b"1")
        disk.failing.add("write")
        await told_in_time(journal, b"2")
        disk.heal()
        for part in tmp_path.glob("j.db*"):
            part.unlink()
        async with opened(tmp_path / "j.db") as other:
            await commit(other, b"x", b"y", b"z")
        await until(lambda: "another run" in journal.counters().why)
        assert journal.counters().waiting


async def test_close_is_bounded_when_the_disk_hangs(tmp_path, disk):
    """5 s, whatever the disk does; tested at half a second."""
    saved, module._CLOSE_S = module._CLOSE_S, 0.5
    try:
        start = asyncio.get_running_loop().time()
        async with opened(tmp_path / "j.db") as journal:
            disk.gate.clear()
            journal.commit([draft()])
        assert asyncio.get_running_loop().time() - start < 0.5 * TOLERANCE
    finally:
        module._CLOSE_S = saved


async def test_a_failing_checkpoint_is_a_fault_and_no_loss(tmp_path, disk):
    """The log may grow for a while; commits are durable all the same; it is tried again without a further commit."""
    clock = StillClock()
    async with opened(tmp_path / "j.db", clock=clock) as journal:
        journal._file._checkpoint_pages = 1
        disk.failing.add("database")
        for body in (b"1", b"2"):
            records, error = await commit(journal, body)
            assert error is None
            assert records[0].durable
            await until(lambda: "checkpoint" in journal.counters().why)
            assert journal.counters().failing_since == clock.now
        await commit(journal, b"3")
        assert journal.counters().failing_since == clock.now, "well for a moment, with each commit"
        disk.heal()
        clock.advance(2.01)
        await until(lambda: journal.counters().failing_since is None)
        assert bodies(await everything(journal)) == [b"1", b"2", b"3"]


async def test_a_settlement_does_not_wait_for_a_checkpoint_that_fails(tmp_path, disk):
    """The log takes it: at the end too, in one transaction instead of thousands until the time is over."""
    async with opened(tmp_path / "j.db") as journal:
        journal._file._checkpoint_pages = 1
        journal.position("u")
        disk.failing.add("database")
        await commit(journal, b"1")
        await until(lambda: "checkpoint" in journal.counters().why)
        journal.settle("u", [1])
        before = journal._writer.tally.transactions
    assert journal._writer.tally.transactions <= before + 2
    disk.heal()
    async with opened(tmp_path / "j.db") as journal:
        assert journal.position("u") == 1


async def test_a_settlement_that_failed_is_written_without_a_commit(tmp_path, disk):
    """Once the disk is well; an idle lane would else repeat its alarms after a crash long after."""
    clock = StillClock()
    async with opened(tmp_path / "j.db", clock=clock) as journal:
        journal.position("a")
        await commit(journal, b"1")
        journal.settle("a", [1])
        disk.failing.add("sync")
        clock.advance(2.01)
        await until(lambda: journal.counters().failing_since is not None)
        disk.heal()
        clock.advance(2.01)
        await until(lambda: journal.counters().failing_since is None)
        clock.advance(2.01)
        await until(lambda: not journal.settlement.dirty and not journal.counters().waiting)
        await journal._writer.ask(lambda: None)
        assert b"[[0,1]]" in (tmp_path / "j.db-wal").read_bytes()


async def test_nobody_waits_for_a_checkpoint(tmp_path, disk):
    """An alarm is told when it is on the disk, not when the log was taken into the database: several syncs on a slow card."""
    async with opened(tmp_path / "j.db", overdue_s=60) as journal:
        journal._file._checkpoint_pages = 1
        disk.database.clear()
        try:
            records, error = await commit(journal, b"1")
            assert error is None
            assert records[0].durable
        finally:
            disk.heal()
        await commit(journal, b"2")
        assert bodies(await everything(journal)) == [b"1", b"2"]


async def test_what_a_failed_write_left_is_not_checkpointed(tmp_path, disk):
    """Nobody knows whether it reached the disk: the log is opened and synced anew before it goes into the database."""
    path = tmp_path / "j.db"
    clock = StillClock()
    async with opened(path, clock=clock) as journal:
        await commit(journal, b"1")
        await journal._writer.ask(lambda: None)  # its thread is done with the job
        journal._file._checkpoint_pages = 1
        before = path.read_bytes()
        disk.failing.add("once")
        _, error = await commit(journal, b"2")
        assert error
        await journal._writer.ask(lambda: None)
        assert path.read_bytes() == before
        disk.heal()
        clock.advance(2.01)
        await until(lambda: journal.counters().failing_since is None)
        assert bodies(await everything(journal)) == [b"1", b"2"]
