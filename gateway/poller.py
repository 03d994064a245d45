"""One task a bus: what is due is asked, and every group gives a scan in each of its periods, with values or with the reason.

Guarantees
* A poll that fails gives a scan whose points are BAD with the error's quality, but for those read before it failed. While a device is down, each period
  that passes without a try gives one with the quality of the first cause. While the line is down, all give LINE_DOWN.
* A bug in a driver costs its own device only: DRIVER_FAULT, the same back-off as silence; the guard tells of it.
* `progress` moves as long as the task is alive, the bus keeps its promise to end each poll, and each sleep ends when it
  should. A line on which nothing is due wakes nobody.
* A tool's exchange (`lend`) is performed only while nothing is due and as `gateway.slots` allows: it does not delay a safety
  poll where the line has room. At most `LOANS` wait; one whose asker has gone is dropped.
* What is urgent (`hurry`: the guard room's outputs) goes before everything else, also between two exchanges of a poll: it
  waits for the running exchange and its drain, and for nothing more.

It does not judge values, and it does not know what a bus is made of: whatever has `perform` and `status` will do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Protocol, TypeVar

from drivers.contract import Exchange, Poll, Reply
from gateway.clock import Clock, housekeeping
from gateway.errors import BusError
from gateway.model import Device, Group, Level, Quality, Scan
from gateway.schedule import Schedule, Target, Turn
from gateway.slots import Slots
from gateway.urgent import Asks, Urgent

T = TypeVar("T")

LOANS = 4
_SILENCE = frozenset((Quality.NOT_RESPONDING, Quality.BAD_FRAME))
"""What costs the line a time-out or a drain. A refusal is an answer."""
_BAD = min(quality for quality in Quality if quality.level is Level.BAD)
_SHORTEST_PROBE_S = 0.1


Tap = Callable[[str, bytes], None]
"""Hears ``("tx", request)`` and ``("rx", reply)`` of each exchange on the line."""


class Guards(Protocol):
    """`gateway.restart.Guard`."""

    async def wait(self, name: str, awaitable: Awaitable[T]) -> T | None: ...


class _Meaning(Enum):
    """What the end of a poll says."""

    ANSWERED = "answered"
    PARTLY = "partly answered"
    SILENT = "silent"
    LINE_DOWN = "line down"


@dataclass(slots=True)
class _Record:
    """What a person wants to know of one group, and what a probe needs."""

    group: Group
    since: float
    """When it last changed between answering and not."""
    up: bool = False
    error: str = "never asked"
    cause: Quality = Quality.NOT_YET
    """Of the first failure since it last answered."""
    polls: int = 0
    failures: int = 0
    silences: int = 0
    """Failures since it last answered."""
    answered_at: float | None = None
    period_s: float = 0.0
    """Achieved: running mean of the distance of answers."""
    pace_s: float = 0.0
    """The slowest of the last polls that were answered, fading; 0 if none was."""


@dataclass(slots=True)
class _Loan:
    """A tool's exchanges that wait for the line."""

    poll: Generator[Exchange, Reply, Any]
    worst_s: float
    wanted: Callable[[], bool]
    asked_at: float
    done: asyncio.Future[Any]


class _Busy:
    """The share of time that the line was in use, over the last one to two minutes."""

    def __init__(self, now: float) -> None:
        self._used_s = 0.0
        self._marks = ((now, 0.0), (now, 0.0))

    def add(self, used_s: float, now: float) -> None:
        self._used_s += used_s
        if now - self._marks[1][0] >= 60.0:
            self._marks = (self._marks[1], (now, self._used_s))

    def share(self, now: float) -> float:
        since, used_s = self._marks[0]
        return (self._used_s - used_s) / max(now - since, 1e-3)


class Poller:
    """`run` never ends. `take` gets every scan, on the loop, in order."""

    def __init__(
        self,
        bus: Asks,
        devices: Sequence[Device],
        polls: Mapping[str, Poll],
        clock: Clock,
        take: Callable[[Scan], None],
        guard: Guards,
    ) -> None:
        """`polls`: device id -> what `Driver.open` gave for it."""
        now = clock.monotonic()
        self._bus = bus
        self._polls = polls
        self._clock = clock
        self._take = take
        self._guard = guard
        self._targets = [
            Target(device.id, index, group.period_s, group.safety)
            for device in devices
            for index, group in enumerate(device.groups)
            if group.points
        ]
        groups = {(device.id, index): group for device in devices for index, group in enumerate(device.groups)}
        self._records = {key: _Record(group, now) for key, group in groups.items()}
        self._schedule = Schedule(self._targets, now)
        self._line_down = False
        self._busy = _Busy(now)
        self._slots = Slots()
        self._loans: deque[_Loan] = deque()
        self._urgent = Urgent()
        self._nap: asyncio.Future[None] | None = None
        self.lent = 0
        self.taps: list[Tap] = []
        self._moved = now
        self._sleeps_until = -inf

    async def run(self) -> None:
        self._schedule = Schedule(
            self._targets, self._clock.monotonic()
        )  # a run that fell may have left a poll without end
        after_poll = False
        while True:
            now = self._moved = self._clock.monotonic()
            if self._urgent:
                await self._hurry()
                self._busy.add(self._clock.monotonic() - now, self._clock.monotonic())
                continue
            turn = self._schedule.decide(now)
            for target in turn.silent:
                cause = self._records[target.device, target.group].cause
                self._take(self._bad(target, Quality.LINE_DOWN if self._line_down else cause, now))
            if turn.poll is not None:
                self._take(await self._ask(turn, turn.poll, now))
            elif self._urgent:  # by what was silent: it finds nobody asleep
                pass
            elif loan := self._loan(now, after_poll=after_poll):
                await self._lend(loan, now)
            else:
                await self._sleep(min(turn.wake_at, housekeeping(now)) if self._loans else turn.wake_at)
            after_poll = turn.poll is not None

    @property
    def progress(self) -> float:
        """When it last moved. One that sleeps moves with the clock, until it should have woken."""
        return max(self._moved, min(self._clock.monotonic(), self._sleeps_until))

    @property
    def answered_at(self) -> float | None:
        """When any device answered last; None if none did yet."""
        return max((one.answered_at for one in self._records.values() if one.answered_at is not None), default=None)

    @property
    def shortest_s(self) -> float:
        """The shortest period of its groups."""
        return min((target.period_s for target in self._targets), default=0.0)

    def lend(
        self, poll: Generator[Exchange, Reply, T], worst_s: float, wanted: Callable[[], bool]
    ) -> asyncio.Future[T]:
        """Perform a tool's `poll` in idle time; the future gets what it returns, or its BusError. `worst_s`: the most that
        it can occupy the line. Raises BusError when too many wait."""
        if len(self._loans) >= LOANS:
            raise BusError(Quality.LINE_DOWN, "too many tools wait for this line")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._loans.append(_Loan(poll, worst_s, wanted, self._clock.monotonic(), done))
        self._wake()
        return done

    def hurry(self, poll: Generator[Exchange, Reply, bool]) -> asyncio.Future[bool]:
        """Perform `poll` before everything else; the future gets what it returns, False after a bug, or its BusError."""
        done = self._urgent.add(poll)
        self._wake()
        return done

    async def _hurry(self) -> None:
        await self._urgent.serve(
            lambda poll: self._guard.wait("an output's exchange", self._bus.perform(self._tapped(poll)))
        )

    def _loan(self, now: float, *, after_poll: bool) -> _Loan | None:
        """The first that is still wanted, if it may have the line now."""
        while self._loans and (self._loans[0].done.done() or not self._loans[0].wanted()):
            self._loans.popleft().done.cancel()
        if not self._loans:
            return None
        first, safety_at = self._loans[0], self._schedule.safety_at()
        waited_s = now - first.asked_at
        if not self._slots.may_start(now, safety_at, first.worst_s, waited_s, after_poll=after_poll):
            return None
        return self._loans.popleft()

    async def _lend(self, loan: _Loan, started: float) -> None:
        safety_at = self._schedule.safety_at()
        self.lent += 1
        drained_at = started
        try:
            result = await self._guard.wait("a tool's exchange", self._bus.perform(self._tapped(loan.poll)))
        except BusError as error:
            drained_at = self._slots.over_at(started, loan.worst_s)  # the tool has its answer, the line is not free yet
            if not loan.done.done():
                loan.done.set_exception(error)
        else:
            if not loan.done.done():
                loan.done.set_result(result)
        finally:
            loan.done.cancel()  # this task was cancelled; else nothing
        now = self._clock.monotonic()
        self._busy.add(now - started, now)
        self._slots.ended(max(now, drained_at), safety_at)

    async def _sleep(self, until: float) -> None:
        """Until then, or until a tool asks."""
        self._nap = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(until, self._wake)
        self._bus.rest()
        self._sleeps_until = until
        try:
            await self._nap
        finally:
            timer.cancel()
            self._nap, self._sleeps_until = None, -inf

    def _wake(self) -> None:
        if self._nap is not None and not self._nap.done():
            self._nap.set_result(None)

    def _tapped(self, poll: Generator[Exchange, Reply, T]) -> Generator[Exchange, Reply, T]:
        return tapped(poll, self._tell) if self.taps else poll

    def _tell(self, direction: str, data: bytes) -> None:
        for tap in self.taps:
            tap(direction, data)

    async def _ask(self, turn: Turn, target: Target, started: float) -> Scan:
        record = self._records[target.device, target.group]
        longest_s = self._longest_s(record)
        result = await self._guard.wait(f"poll {target.device}", self._perform(target, longest_s))
        now = self._clock.monotonic()
        self._busy.add(now - started, now)
        scan, meaning, quality, error = self._judge(target, result, now)
        self._line_down = meaning is _Meaning.LINE_DOWN
        self._note(record, meaning, quality, error, now)
        match meaning:
            case _Meaning.ANSWERED:
                record.pace_s = max(now - max(started, self._bus.begun_at), 0.9 * record.pace_s)
                self._schedule.answered(target, now)
            case _Meaning.PARTLY:
                self._slots.failed(now)
                self._schedule.partly(target, now)
            case _Meaning.SILENT:
                self._slots.failed(now)
                self._schedule.failed(target, now)
            case _Meaning.LINE_DOWN:
                self._schedule.missed(target)
                await asyncio.sleep(0)  # it says so without waiting: let the others have the loop
        return scan

    def _judge(self, target: Target, result: Scan | BusError | None, now: float) -> tuple[Scan, _Meaning, Quality, str]:
        """The scan to take, what it means, and the worst that a person should know."""
        if isinstance(result, Scan):
            if not any(result.qualities):  # the common scan, fast
                return result, _Meaning.ANSWERED, Quality.GOOD, ""
            worst = Quality(max(result.qualities))
            if set(result.qualities) <= _SILENCE:  # a driver that took the time-outs on itself
                return result, _Meaning.SILENT, worst, worst.label
            return result, _Meaning.ANSWERED, worst, worst.label if min(result.qualities) >= _BAD else ""
        if result is None:
            scan = self._bad(target, Quality.DRIVER_FAULT, now)
            return scan, _Meaning.SILENT, Quality.DRIVER_FAULT, "the driver has a bug, see the log"
        quality = result.quality
        silent = _Meaning.PARTLY if result.scan else _Meaning.SILENT
        meaning = silent if quality in _SILENCE else _Meaning.ANSWERED
        if quality is Quality.LINE_DOWN:
            meaning = _Meaning.LINE_DOWN
        scan = result.scan or self._bad(target, quality, now)
        return scan, meaning, quality, f"{quality.label}: {result}"

    def _note(self, record: _Record, meaning: _Meaning, quality: Quality, error: str, now: float) -> None:
        up = meaning in (_Meaning.ANSWERED, _Meaning.PARTLY)
        if up is not record.up:
            record.up, record.since = up, now
        record.error = error
        record.polls += 1
        record.failures += bool(error)
        if meaning is _Meaning.SILENT:
            record.cause = record.cause if record.silences else quality
            record.silences += 1
        if up:
            record.silences = 0
            if record.answered_at is not None:
                distance_s = now - record.answered_at
                record.period_s += (distance_s - record.period_s) * (0.1 if record.period_s else 1.0)
            record.answered_at = now

    async def _perform(self, target: Target, longest_s: float | None) -> Scan | BusError:
        try:
            poll = self._tapped(self._polls[target.device](target.group))
            scan = await self._urgent.between(self._bus, poll, longest_s, target, self._hurry)
        except BusError as error:
            self._check(target, error.scan)
            return error
        self._check(target, scan)
        return scan

    def _check(self, target: Target, scan: Scan | None) -> None:
        """Columns that do not fit their group must never get further. Raises ValueError: a bug of the driver."""
        count = len(self._records[target.device, target.group].group.points)
        fits = (target.device, target.group, count, count)
        if scan is not None and (scan.device, scan.group, len(scan.values), len(scan.qualities)) != fits:
            raise ValueError(f"{target.device}: the scan is not of the group that was asked for")

    def _longest_s(self, record: _Record) -> float | None:
        """How long to wait at least for a device that did not answer last time, twice its slowest answer, so that it costs its
        line little; None: as long as for any. One that was never heard is taken to be as quick as the slowest of its
        neighbours. Whether a late answer may be missed by it is the bus's to know (`gateway.field.line.Patience`)."""
        if not record.silences:
            return None
        pace_s = record.pace_s or max(other.pace_s for other in self._records.values())
        return max(_SHORTEST_PROBE_S, 2 * pace_s) if pace_s else None

    def _bad(self, target: Target, quality: Quality, now: float) -> Scan:
        count = len(self._records[target.device, target.group].group.points)
        return Scan(target.device, target.group, now, (None,) * count, bytes((quality,)) * count)

    def status(self) -> dict[str, object]:
        """Plain values for the console: the bus, and each device's groups."""
        groups: dict[str, list[dict[str, object]]] = {}
        for target in self._targets:
            record = self._records[target.device, target.group]
            groups.setdefault(target.device, []).append(
                {
                    "group": record.group.name,
                    "up": record.up,
                    "down": self._schedule.is_down(target),
                    "since": record.since,
                    "error": record.error,
                    "polls": record.polls,
                    "failures": record.failures,
                    "period_s": round(record.period_s, 3),
                }
            )
        return {
            "busy": round(self._busy.share(self._clock.monotonic()), 4),
            "bus": self._bus.status(),
            "lent": {"exchanges": self.lent, "late_s": round(self._slots.late_s, 3)},
            "devices": groups,
        }


def tapped(poll: Generator[Exchange, Reply, T], tell: Tap) -> Generator[Exchange, Reply, T]:
    """The same poll, with every request and reply told."""
    try:
        exchange = next(poll)
        while True:
            tell("tx", exchange.request)
            try:
                reply = yield exchange
            except BusError as error:
                exchange = poll.throw(error)
            else:
                tell("rx", reply.data)
                exchange = poll.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        poll.close()
