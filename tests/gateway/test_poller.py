"""The poller in virtual time: what a transcript of scans looks like when devices answer, die, refuse or have a bug."""

import asyncio
import contextlib
import itertools
from collections import Counter

import pytest

from drivers.contract import Exchange, Reply
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.model import Device, Group, Kind, Point, Quality, Scan
from gateway.poller import Poller
from gateway.restart import Guard
from tests.waiting import until

pytestmark = pytest.mark.looptime


class LoopClock(SystemClock):
    """The running loop's time, which looptime makes virtual; counts the timers."""

    timers = 0

    def monotonic(self):
        return asyncio.get_running_loop().time()

    def call_at(self, at, callback):
        self.timers += 1
        return super().call_at(at, callback)


class FakeLine:
    """A bus without a wire: `state` says what each device does; an answer takes 20 ms, a dead one its time-out and a drain."""

    def __init__(self, timeout_s=0.3):
        self.state = {}
        self.timeout_s = timeout_s
        self.down = False
        self.begun_at = 0.0
        self.asked = []
        self.waits = []
        self.tried = []
        self.rests = []

    async def perform(self, poll, longest_s=None, whom=None):
        if self.down:
            raise BusError(Quality.LINE_DOWN, "pulled")
        self.tried.append(whom)
        device = next(poll).request.decode()
        now = asyncio.get_running_loop().time()
        self.asked.append((now, device))
        quality = self.state.get(device)
        if quality is Quality.NOT_RESPONDING:
            wait_s = self.timeout_s if longest_s is None else min(self.timeout_s, longest_s)
            self.waits.append(wait_s)
            await asyncio.sleep(wait_s + 0.3)
        else:
            await asyncio.sleep(0.02)
        if quality is not None:
            raise BusError(quality, "played")
        try:  # one exchange a poll is all that these tests need
            poll.send(Reply(b"", now))
        except StopIteration as end:
            return end.value
        raise AssertionError("the poll asks twice")

    def rest(self):
        self.rests.append(asyncio.get_running_loop().time())

    def status(self):
        return {"up": not self.down}

    def times(self, device, since=0.0):
        return [at for at, asked in self.asked if asked == device and at >= since]


def device(name, period_s=1.0, points=2):
    group = Group(
        "all", tuple(Point(f"{name}/p{number}", f"p{number}", Kind.INT) for number in range(points)), period_s
    )
    return Device(name, "line", "test", 1, (group,))


def polls_of(device):
    def poll(group):
        yield Exchange(device.id.encode(), len)
        count = len(device.groups[group].points)
        return Scan(device.id, group, asyncio.get_running_loop().time(), (1,) * count, bytes(count))

    return poll


class Play:
    """A poller at work on a fake line."""

    def __init__(self, devices, polls=None, timeout_s=0.3):
        self.line = FakeLine(timeout_s)
        self.scans = []
        self.guard = Guard()
        polls = {entry.id: polls_of(entry) for entry in devices} | (polls or {})
        self.clock = LoopClock()
        self.poller = Poller(self.line, devices, polls, self.clock, self.scans.append, self.guard)
        self.task = asyncio.ensure_future(self.poller.run())

    async def reach(self, at):
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        assert not self.task.done()

    async def end(self):
        self.task.cancel()
        await asyncio.wait((self.task,))

    def qualities(self, device, since=0.0, until=1e9):
        return [Quality(scan.qualities[0]) for scan in self.scans if scan.device == device and since <= scan.at < until]


@pytest.fixture
async def play():
    plays = []

    def start(*args, **more):
        plays.append(Play(*args, **more))
        return plays[-1]

    yield start
    for started in plays:
        await started.end()


class SlowLine(FakeLine):
    """Each exchange takes 50 ms; a poll may make many. Nobody answers what is in `dead`."""

    dead = frozenset()

    async def perform(self, poll, longest_s=None, whom=None):
        try:
            exchange = next(poll)
            while True:
                self.asked.append((asyncio.get_running_loop().time(), exchange.request.decode()))
                await asyncio.sleep(0.05)
                if exchange.request.decode() in self.dead:
                    raise BusError(Quality.NOT_RESPONDING, "played")
                exchange = poll.send(Reply(b"", asyncio.get_running_loop().time()))
        except StopIteration as end:
            return end.value
        finally:
            poll.close()


def long_poll(device, exchanges, closed=None):
    def poll(group):
        try:
            for number in range(exchanges):
                yield Exchange(f"{device.id}.{number}".encode(), len)
            return Scan(device.id, group, asyncio.get_running_loop().time(), (1, 1), bytes(2))
        finally:
            if closed is not None:
                closed.append(device.id)

    return poll


def urgent(name, result=True):
    yield Exchange(name.encode(), len)
    if isinstance(result, Exception):
        raise result
    return result


async def test_what_is_urgent_waits_for_one_exchange_and_no_more(play):
    """Also in the middle of a long poll, which goes on where it was, and asks nothing twice."""
    slow = device("a", 10.0)
    played = play([slow, device("b", 10.0)], {"a": long_poll(slow, 6), "b": long_poll(device("b"), 6)})
    played.poller._bus = line = SlowLine()
    await played.poller.hurry(urgent("first"))
    await asyncio.sleep(0.12)
    asked = asyncio.get_running_loop().time()
    done = [played.poller.hurry(urgent(name)) for name in ("horn", "lamp")]
    assert [await one for one in done] == [True, True]
    times = {request: at for at, request in line.asked}
    assert times["horn"] - asked <= 0.05
    assert times["lamp"] - times["horn"] == pytest.approx(0.05)
    await played.reach(2.0)
    order = [request for _, request in line.asked]
    assert order == ["first", "a.0", "a.1", "a.2", "horn", "lamp", "a.3", "a.4", "a.5", *(f"b.{n}" for n in range(6))]
    assert [scan.device for scan in played.scans] == ["a", "b"]


async def test_what_is_urgent_wakes_a_poller_that_sleeps(play):
    played = play([device("a", 10.0)])
    await played.reach(5.0)
    await played.poller.hurry(urgent("horn"))
    assert played.line.asked[-1] == (5.0, "horn")


async def test_an_urgent_exchange_that_fails_is_its_own(play):
    """BusError to who asked, False after a bug; the polls go on."""
    played = play([device("a", 1.0)])
    played.line.state["dead"] = Quality.NOT_RESPONDING
    with pytest.raises(BusError):
        await played.poller.hurry(urgent("dead"))
    assert await played.poller.hurry(urgent("buggy", ZeroDivisionError())) is False
    assert "an output's exchange" in played.guard.faults
    assert await played.poller.hurry(urgent("well")) is True
    assert played.guard.faults == {}
    await played.reach(5.5)
    assert len(played.qualities("a")) >= 5


async def test_a_line_that_is_down_tells_what_is_urgent_at_once(play):
    played = play([device("a", 1.0)])
    played.line.down = True
    with pytest.raises(BusError) as caught:
        await played.poller.hurry(urgent("horn"))
    assert caught.value.quality is Quality.LINE_DOWN


async def test_a_poll_that_fails_between_its_parts_is_closed(play):
    slow, closed = device("a", 10.0), []
    played = play([slow], {"a": long_poll(slow, 3, closed)})
    played.poller._bus = line = SlowLine()
    await played.poller.hurry(urgent("first"))
    line.dead = {"a.1"}
    await asyncio.sleep(0.02)
    assert await played.poller.hurry(urgent("horn"))
    await played.reach(3.0)
    assert [request for _, request in line.asked][:4] == ["first", "a.0", "horn", "a.1"]
    assert closed == ["a"]
    assert played.qualities("a")[0] is Quality.NOT_RESPONDING


async def test_every_group_gives_one_scan_a_period(play):
    """At once, then in step with the grid."""
    played = play([device("a", 0.5), device("b", 1.0)])
    await played.reach(10.25)
    assert len(played.qualities("a")) == 21
    assert len(played.qualities("b")) == 11
    assert {scan.values for scan in played.scans} == {(1, 1)}


async def test_one_dead_among_thirty_two_leaves_the_live_ones_their_period(play):
    """31 live ones at 1 s on a line that is 62 % busy: after the first seconds each has its poll in each period."""
    played = play([device(f"d{number}") for number in range(32)])
    played.line.state["d5"] = Quality.NOT_RESPONDING
    await played.reach(120.0)
    late = 0
    for number in set(range(32)) - {5}:
        times = played.line.times(f"d{number}", since=10.0)
        distances = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(times) >= 109
        assert max(distances) <= 1.0 + 0.6 + 0.05
        late += sum(distance > 1.1 for distance in distances)
    assert late <= 31 * 109 * 0.11
    assert len(played.line.times("d5", since=20.0)) <= 11


async def test_a_device_that_goes_silent_is_bad_in_its_next_period_and_stays_so(play):
    """NOT_RESPONDING at the first failed poll, then once a period or more, whether it was asked or not."""
    played = play([device("a"), device("b")])
    await played.reach(5.5)
    played.line.state["a"] = Quality.NOT_RESPONDING
    await played.reach(60.5)
    assert set(played.qualities("a", until=5.5)) == {Quality.GOOD}
    assert set(played.qualities("a", since=5.5)) == {Quality.NOT_RESPONDING}
    periods = Counter(int(scan.at) for scan in played.scans if scan.device == "a" and scan.at >= 6.0)
    assert set(range(6, 60)) <= set(periods)
    assert len(played.line.times("a", since=6.0)) < 15


async def test_silent_periods_keep_the_quality_of_the_first_cause(play):
    """A device that first garbled and then fell silent is BAD_FRAME in the periods without a try."""
    played = play([device("a")])
    await played.reach(2.5)
    played.line.state["a"] = Quality.BAD_FRAME
    await played.reach(3.5)
    played.line.state["a"] = Quality.NOT_RESPONDING
    await played.reach(40.0)
    asked = played.line.times("a", since=30.0)
    untried = [scan for scan in played.scans if scan.at >= 30.0 and not any(at < scan.at < at + 0.7 for at in asked)]
    assert untried
    assert {Quality(scan.qualities[0]) for scan in untried} == {Quality.BAD_FRAME}


async def test_a_device_that_returns_is_up_at_its_first_answer(play):
    """Within the longest pause, and then again in each period."""
    played = play([device("a")])
    played.line.state["a"] = Quality.NOT_RESPONDING
    await played.reach(60.0)
    played.line.state.clear()
    await played.reach(71.5)
    assert Quality.GOOD in played.qualities("a", since=60.0)
    before = len(played.qualities("a"))
    await played.reach(81.5)
    assert played.qualities("a")[before:] == [Quality.GOOD] * 10
    assert played.poller.status()["devices"]["a"][0]["up"] is True


async def test_a_dead_device_is_tried_with_a_shorter_time_out(play):
    """Twice its own pace when it lived, but for the first poll that it does not answer."""
    played = play([device("a")], timeout_s=0.5)
    await played.reach(5.5)
    played.line.state = {"a": Quality.NOT_RESPONDING}
    await played.reach(120.0)
    assert len(played.line.waits) > 10
    assert played.line.waits == [0.5] + [0.1] * (len(played.line.waits) - 1)


async def test_the_bus_is_told_who_is_tried(play):
    """On a connection no address tells them apart, and each needs whole time-outs of its own."""
    played = play([device("a"), device("b")])
    await played.reach(0.5)
    assert [(target.device, target.group) for target in played.line.tried] == [("a", 0), ("b", 0)]


async def test_a_device_that_was_never_heard_is_tried_at_its_neighbours_pace(play):
    """One that is not there yet must not cost the line whole time-outs; with nobody to compare with, it gets them."""
    alone = play([device("never")], timeout_s=0.5)
    alone.line.state["never"] = Quality.NOT_RESPONDING
    await alone.reach(30.0)
    assert set(alone.line.waits) == {0.5}
    beside = play([device("a"), device("never")], timeout_s=0.5)
    beside.line.state["never"] = Quality.NOT_RESPONDING
    await beside.reach(60.0)
    assert len(beside.line.waits) > 5
    assert beside.line.waits == [0.5] + [0.1] * (len(beside.line.waits) - 1)


async def test_a_refusal_is_an_answer(play):
    """Its points are BAD (REFUSED), but the device is alive, keeps its period and is not backed off."""
    played = play([device("a")])
    played.line.state["a"] = Quality.REFUSED
    await played.reach(20.5)
    assert played.qualities("a") == [Quality.REFUSED] * 21
    assert len(played.line.asked) == 21


async def test_a_line_that_is_down_makes_everything_bad_in_its_period(play):
    """LINE_DOWN for each device at its own period, the dead ones too; back at full rate when the line returns."""
    played = play([device("a"), device("b", 2.0), device("dead")])
    played.line.state["dead"] = Quality.NOT_RESPONDING
    await played.reach(20.9)
    played.line.down = True
    await played.reach(30.9)
    assert played.qualities("a", 20.9) == [Quality.LINE_DOWN] * 10
    assert played.qualities("b", 20.9) == [Quality.LINE_DOWN] * 5
    assert set(played.qualities("dead", 21.5)) == {Quality.LINE_DOWN}
    assert len(played.qualities("dead", 21.5)) >= 9
    played.line.down = False
    await played.reach(40.9)
    assert played.qualities("a", 30.9) == [Quality.GOOD] * 10
    assert played.qualities("b", 30.9) == [Quality.GOOD] * 5


async def test_a_bug_in_a_driver_costs_its_own_device_only(play):
    """DRIVER_FAULT and back-off for it, the guard names it; others go on; it is well at the first scan."""
    broken = True

    def buggy(group):
        if broken:
            raise ZeroDivisionError
        return polls_of(device("a"))(group)

    played = play([device("a"), device("b")], {"a": buggy})
    await played.reach(30.5)
    assert set(played.qualities("a")) == {Quality.DRIVER_FAULT}
    assert played.qualities("b") == [Quality.GOOD] * 31
    assert list(played.guard.faults) == ["poll a"]
    broken = False
    await played.reach(42.0)
    assert played.qualities("a")[-1] is Quality.GOOD
    assert not played.guard.faults


async def test_a_scan_of_another_shape_is_a_bug_of_its_driver(play):
    """A driver that returns a foreign scan or too few columns never gets it into the pipeline."""

    def short(group):
        yield Exchange(b"a", len)
        return Scan("a", 0, 0.0, (1,), b"\0")

    def foreign(group):
        yield Exchange(b"b", len)
        return Scan("a", 0, 0.0, (1, 1), b"\0\0")

    played = play([device("a"), device("b")], {"a": short, "b": foreign})
    await played.reach(2.5)
    assert set(played.qualities("a") + played.qualities("b")) == {Quality.DRIVER_FAULT}


async def test_what_was_read_before_a_failure_is_kept(play):
    """A fire bit is not lost because a counter behind it could not be read, nor read only once in ten seconds for it."""

    def partly(group):
        yield Exchange(b"a", len)
        error = BusError(Quality.NOT_RESPONDING, "the second range")
        error.scan = Scan("a", 0, 0.0, (1, None), bytes([Quality.GOOD, Quality.NOT_RESPONDING]))
        raise error

    played = play([device("a")], {"a": partly})
    await played.reach(2.5)
    assert [(scan.values, scan.qualities) for scan in played.scans] == [((1, None), b"\x00\x20")] * 3
    status = played.poller.status()["devices"]["a"][0]
    assert (status["down"], status["error"]) == (False, "not_responding: the second range")
    await played.reach(60.5)
    assert len(played.line.asked) == 61
    assert {scan.values for scan in played.scans} == {(1, None)}


async def test_a_driver_that_swallows_its_time_outs_is_backed_off_all_the_same(play):
    """A scan whose points are all silent is a failed poll."""

    def swallows(group):
        with contextlib.suppress(BusError):
            yield Exchange(b"a", len)
        return Scan("a", 0, asyncio.get_running_loop().time(), (None, None), bytes([Quality.NOT_RESPONDING] * 2))

    played = play([device("a")], {"a": swallows})
    await played.reach(60.5)
    assert len(played.line.asked) < 15
    assert len(played.qualities("a")) >= 60


async def test_progress_moves_while_there_is_nothing_to_do(play):
    """The watchdog sees a live task also on a line that is polled once an hour."""
    played = play([device("a", 3600.0)])
    await played.reach(100.0)
    assert played.poller.progress >= 99.0


async def test_a_line_on_which_nothing_is_due_wakes_nobody(play):
    """An idle box sleeps: one timer until the next poll, however far that is."""
    played = play([device("a", 3600.0)])
    await played.reach(1.0)
    loop, set_before = asyncio.get_running_loop(), played.clock.timers
    assert set_before
    await played.reach(1000.0)
    assert played.clock.timers == set_before
    assert played.line.rests == [0.02]
    assert played.poller.progress == loop.time()


async def test_what_a_silent_device_makes_urgent_does_not_wait_for_the_next_poll(play):
    """The sample of a period without a try goes to the rules, which light a lamp on this very line just before it would sleep."""
    played = play([device("a", 4.0)])
    played.line.state["a"] = Quality.NOT_RESPONDING
    await played.reach(60.0)
    lit = []

    def lights_a_lamp(scan):
        if not lit and played.line.asked[-1][0] < scan.at - 1.0:
            lit.append((scan.at, played.poller.hurry(urgent("lamp"))))

    played.poller._take = lights_a_lamp
    await until(lambda: lit)
    at, done = lit[0]
    assert await done
    assert played.line.times("lamp") == [at]


async def test_a_sleep_that_does_not_end_is_no_progress(play):
    """A wake-up that got lost must set off the watchdog, though nobody expects the line to do anything meanwhile."""
    played = play([device("a", 10.0)])
    await played.reach(1.0)
    played.poller._wake = lambda: None  # what the next sleep is to be ended by
    await played.reach(15.0)
    assert played.line.times("a") == [0.0, 10.0]
    await played.reach(60.0)
    assert played.line.times("a") == [0.0, 10.0]
    assert played.poller.progress == 20.0


async def test_status_tells_what_a_person_asks(play):
    """Per group: up or down since when, last error, polls, failures, achieved period; per bus: busy share."""
    played = play([device("a"), device("b")])
    await played.reach(9.5)
    played.line.state["b"] = Quality.NOT_RESPONDING
    await played.reach(60.0)
    status = played.poller.status()
    a, b = status["devices"]["a"][0], status["devices"]["b"][0]
    assert a["up"]
    assert a["failures"] == 0
    assert a["period_s"] == pytest.approx(1.0, abs=0.2)
    assert a["error"] == ""
    assert not b["up"]
    assert b["down"]
    assert 10.0 <= b["since"] < 11.0
    assert b["error"].startswith("not_responding")
    assert b["failures"] == b["polls"] - 10
    assert 0.02 < status["busy"] < 0.2
    assert status["bus"] == {"up": True}


async def test_a_poller_that_fell_can_run_again(play):
    """A bug in what takes the scans ends `run`; a new run asks everything again."""
    played = play([device("a")])
    await played.reach(1.5)

    def broken(scan):
        raise ZeroDivisionError

    played.poller._take, take = broken, played.poller._take
    with pytest.raises(ZeroDivisionError):
        await played.task
    played.poller._take = take
    played.task = asyncio.ensure_future(played.poller.run())
    count = len(played.scans)
    await until(lambda: len(played.scans) > count + 2)


# Tools that use the line in idle slots --------------------------------------------------------------------------------


def foreign(name="tool"):
    """A tool's exchange: one request, and what comes back."""
    reply = yield Exchange(name.encode(), len)
    return reply.data


def safe_device(name, period_s):
    group = Group("all", (Point(f"{name}/p0", "p0", Kind.INT),), period_s, safety=True)
    return Device(name, "line", "test", 1, (group,))


async def always_asking(played, answers, worst_s=0.6):
    """A tool that asks again as soon as it may, for ever."""
    while True:
        done = played.poller.lend(foreign(), worst_s, lambda: True)
        await asyncio.wait((done,))
        answers.append(done.exception())


async def test_a_tool_gets_its_answer_in_an_idle_slot(play):
    played = play([device("a")])
    await played.reach(1.5)
    done = played.poller.lend(foreign(), 0.6, lambda: True)
    assert await done == b""
    assert played.line.times("tool") == [1.5]


async def test_a_tool_that_always_asks_silent_addresses_delays_no_safety_poll(play):
    """Safety points at 1 s, each time-out with its drain costs 0.6 s: they fit between the polls, so none is late."""
    played = play([safe_device("a", 1.0), safe_device("b", 1.0), device("c", 2.0)])
    played.line.state["tool"] = Quality.NOT_RESPONDING
    errors = []
    tool = asyncio.ensure_future(always_asking(played, errors))
    await played.reach(60.5)
    tool.cancel()
    for name in "ab":
        times = played.line.times(name, since=1.5)
        assert len(times) == 59
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 1.0 + 0.05
    assert len(errors) >= 55
    assert {error.quality for error in errors} == {Quality.NOT_RESPONDING}
    assert played.poller.status()["lent"]["late_s"] == 0


async def test_a_line_without_a_gap_is_lent_rarely_and_safety_points_keep_their_period(play):
    """0.5 s between safety polls, 0.6 s an exchange that is not answered: the mean period stays within a tenth."""
    played = play([safe_device("a", 0.5)])
    played.line.state["tool"] = Quality.NOT_RESPONDING
    errors = []
    tool = asyncio.ensure_future(always_asking(played, errors, 0.6))
    await played.reach(120.25)
    tool.cancel()
    assert 10 <= len(errors) <= 61
    times = played.line.times("a", since=0.25)
    assert len(times) >= 0.9 * 240
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 0.5 + 0.6 + 0.05


async def test_only_so_many_tools_may_wait(play):
    played = play([device("a")])
    await played.reach(1.0)
    waiting = [played.poller.lend(foreign(), 0.6, lambda: True) for _ in range(4)]
    with pytest.raises(BusError):
        played.poller.lend(foreign(), 0.6, lambda: True)
    await asyncio.wait(waiting)


async def test_what_a_tool_asked_that_has_gone_is_dropped(play):
    """Whether its connection ended or it gave up; the one behind it is served."""
    played = play([device("a")])
    await played.reach(1.0)
    gone = played.poller.lend(foreign("gone"), 0.6, lambda: False)
    given_up = played.poller.lend(foreign("given up"), 0.6, lambda: True)
    given_up.cancel()
    served = played.poller.lend(foreign("served"), 0.6, lambda: True)
    assert await served == b""
    assert gone.cancelled()
    assert {name for _, name in played.line.asked} == {"a", "served"}


async def test_a_tap_hears_every_exchange_and_nothing_after_it_is_taken_off(play):
    played = play([device("a")])
    heard = []
    tap = lambda way, data: heard.append((way, data))  # noqa: E731 - it is removed by name
    played.poller.taps.append(tap)
    await played.reach(2.5)
    played.poller.taps.remove(tap)
    await played.reach(4.5)
    assert heard == [("tx", b"a"), ("rx", b"")] * 3
