"""GB/T 26875.3-2011, one transmission device as the local centre knows it: what is wanted of it, and how far that is.

Guarantees
* What we send is sent again after `answer_s`, or at once when it is denied, `repeats` times (clause 6.5), and then left:
  a question until its next period, a clock likewise, a duty check for good.
* A late copy of an upload (the network's, behind a newer one) is known as such: same bytes, another serial since.
* The state of a duty check outlives the connection on which it was asked.

It does not talk: `drivers.gb26875_centre` does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf

from drivers.gb26875_dialect import DIALECTS, Dialect
from drivers.gb26875_message import Message
from drivers.gb26875_points import Options, Thing, thing_of
from drivers.gb26875_unit import Object
from gateway.model import Device, Point, Quality, Scan, Value

CLOCK: Thing = ("clock", 0, 0, 0, 0)
DUTY: Thing = ("duty", 0, 0, 0, 0)
COPY_S = 60.0
"""How long a copy of a datagram may wander; longer than all repetitions of one upload."""
COPIES = 16


@dataclass(slots=True)
class Errand:
    """Something that is wanted of a device: the state of a thing, its clock set, a duty check."""

    about: Thing
    period_s: float
    """The shortest of its groups; inf: never by itself."""
    groups: tuple[int, ...] = ()
    """Those that are about it."""
    due: float = inf
    tries: int = 0
    serial: int = -1
    """Of the frame that waits for its answer; -1 when none does."""

    def over(self, at: float) -> None:
        """Answered, or given up."""
        self.serial, self.tries, self.due = -1, 0, at + self.period_s

    def want(self, at: float) -> None:
        """From now on, unless it is never asked by itself."""
        if self.period_s < inf:
            self.serial, self.tries, self.due = -1, 0, at


class Outcome(IntEnum):
    """Of the latest duty check; the template's labels."""

    NONE = 0
    ASKED = 1
    CONFIRMED = 2
    """The device has it and prompts."""
    ANSWERED = 3
    UNANSWERED = 4
    NOT_DELIVERED = 5
    """The device denied it, or did not confirm it after all repetitions."""
    LATE = 6
    """Answered after the time."""


@dataclass(slots=True)
class Duty:
    """The latest duty check (查岗)."""

    outcome: Outcome = Outcome.NONE
    minutes: int = 0
    asked_at: float = 0.0
    until: float = inf
    """An answer is late from then on."""
    answer_s: float = 0.0
    operator: int = 0
    tell_due: float = 0.0

    def ask(self, minutes: int, at: float) -> None:
        self.outcome, self.minutes, self.asked_at, self.until = Outcome.ASKED, minutes, at, inf
        self.answer_s, self.operator = 0.0, 0

    def confirmed(self, at: float, slack_s: float) -> None:
        """The device prompts from now on; its answer may need all its repetitions."""
        if self.outcome is Outcome.ASKED:
            self.outcome, self.until = Outcome.CONFIRMED, at + 60.0 * self.minutes + slack_s

    def ended(self, outcome: Outcome) -> None:
        self.outcome, self.until = outcome, inf

    def answered(self, operator: int, at: float) -> bool:
        """Whether the answer changes anything: a copy of it does not."""
        open_ = self.outcome in (Outcome.ASKED, Outcome.CONFIRMED)
        if not open_ and self.outcome not in (Outcome.UNANSWERED, Outcome.NOT_DELIVERED):
            return False
        self.ended(Outcome.ANSWERED if open_ else Outcome.LATE)
        self.answer_s, self.operator = at - self.asked_at, operator
        return True

    def read(self, point: Point) -> Value:
        values: dict[str, Value] = {
            "outcome": int(self.outcome),
            "answer_s": round(self.answer_s, 1),
            "operator": self.operator,
        }
        return values[point.source.bit]


@dataclass(slots=True)
class Peer:
    """One device of the site."""

    device: Device
    options: Options
    dialect: Dialect
    errands: dict[Thing, Errand]
    duty_groups: tuple[int, ...] = ()
    duty: Duty = field(default_factory=Duty)
    line: object = None
    """The connection on which it was last heard."""
    met_at: float = -inf
    """When it was first heard there."""
    head: Message | None = None
    """Its latest sound frame: whom to ask, and with which version."""
    serial: int = 0
    uploads: deque[tuple[int, int, float]] = field(default_factory=lambda: deque(maxlen=COPIES))
    """Hash, serial and time of the latest."""

    def meet(self, line: object, at: float) -> None:
        """It was heard on a connection. On a new one all is asked anew: it may have changed in between."""
        if line is self.line:
            return
        self.line = line
        self.duty.tell_due = at  # the port, too, learns where the device is now
        if at - self.met_at >= self.options.answer_s:  # a caller that changes its port each time is not asked each time
            self.met_at = at
            for errand in self.errands.values():
                errand.want(at)

    def is_copy(self, data: bytes, serial: int, at: float) -> bool:
        """Whether this upload came before and another one since. A device whose serial stands still has no copies."""
        mark = hash(data)
        known = any(one == mark and at - when <= COPY_S for one, _, when in self.uploads)
        copy = known and self.uploads[-1][1] != serial
        if not copy:
            self.uploads.append((mark, serial, at))
        return copy

    def next_serial(self) -> int:
        serial, self.serial = self.serial, (self.serial + 1) & 0xFFFF
        return serial

    def next_due(self) -> float:
        return min(self.duty.until, *(errand.due for errand in self.errands.values()))

    def duty_scans(self, at: float) -> list[Scan]:
        """What is known of the duty check, as it is now."""
        scans = []
        for group in self.duty_groups:
            points = self.device.groups[group].points
            values = tuple(self.duty.read(point) for point in points)
            scans.append(Scan(self.device.id, group, at, values, bytes((Quality.GOOD,)) * len(points)))
            self.duty.tell_due = at + self.device.groups[group].period_s / 2
        return scans


def late_s(device: Device) -> float:
    """`Driver.late_s`: one question and all its repetitions."""
    options: Options = device.options or Options()
    return options.answer_s * (options.repeats + 1)


def peer_of(device: Device) -> Peer:
    options: Options = device.options or Options()
    about: dict[Thing, list[int]] = {}
    for index, group in enumerate(device.groups):
        if group.points:
            about.setdefault(thing_of(group.points[0].source), []).append(index)
    duty_groups = tuple(about.pop(DUTY, ()))
    asked = options.ask == "each_period"
    errands = {
        thing: Errand(thing, min(device.groups[group].period_s for group in groups) if asked else inf, tuple(groups))
        for thing, groups in about.items()
    }
    errands[CLOCK] = Errand(CLOCK, options.set_clock_s or inf)
    errands[DUTY] = Errand(DUTY, inf)
    return Peer(device, options, DIALECTS[options.dialect], errands, duty_groups)


def is_duty_answer(one: Object) -> bool:
    """Operation flags of type 24, bit 5."""
    return bool((one.flags or 0) >> 5 & 1)
