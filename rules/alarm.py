"""One alarm: its condition, its delays, what hides it and its place in the life cycle, and what of it survives a restart.

Guarantees
* A transition is made only on change and carries what caused it: the sample that completed the condition, the deadline
  that ended (with the sample that last held), or the command of a person; and the evidence (`rules.evidence`).
* While it is aside (shelved, suppressed, out of service) the condition is judged as ever: each change of `present` is a
  transition from that state to itself. At the end it is active or normal by `present`; an unknown keeps what was.
* `encode` gives the same bytes as long as nothing that must survive has changed; None when nothing needs to.
* After `restore` an active alarm stays active until two new frames know its condition to be false: nothing is known at
  boot, and unknown never clears. An on-delay goes on where it was; an off-delay starts anew, for nobody looked in between.
  Shelving and service end at their time; soon where no clock bridges the gap, at once where nobody answers for them.
* What cannot be read is refused as a whole; the alarm is then as new.
* After a bug (`broke`) it keeps its state and knows nothing until its points are read again.

It does not know other alarms or who is due when (see `rules.engine`).
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from functools import partial

from gateway.model import Action, AlarmClass, Command, Deadline, Mark, Sample, Scan, State, Text, Transition
from rules.aside import Aside, Suppression, asked, limited, restored
from rules.calendar import Calendar
from rules.clocks import Clocks
from rules.condition import Points, build
from rules.evidence import History, Witnessed
from rules.guard import Guard, unguarded
from rules.leaf import Leaf, Node
from rules.lifecycle import ACTIVE, ASIDE, TABLE, Event
from rules.spec import LIFE, AlarmSpec
from rules.texts import FIRE_LATCHED, FIRE_NOT_OVER, refusal
from rules.timing import NEVER, Timing
from rules.truth import FALSE, NOW, SURE, UNKNOWN
from rules.window import saved_time

_COMMANDS = {
    Action.ACKNOWLEDGE: Event.ACKNOWLEDGE,
    Action.RESET: Event.RESET,
    Action.SHELVE: Event.SHELVE,
    Action.TAKE_OUT: Event.TAKE_OUT,
}
_ENDS = {Action.UNSHELVE: State.SHELVED, Action.RETURN: State.OUT_OF_SERVICE}
_BY_PERSON = frozenset(_ENDS.values())
_LATCHED = frozenset({State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED})

_NEW = b'{"state":"normal"}'
RETRY_S = 1.0
"""When an alarm that a bug took out is looked at again, if no scan of its points does so before."""


class Alarm:
    __slots__ = (
        "_guard",
        "_rule",
        "_witnessed",
        "acknowledged",
        "aside",
        "cause",
        "condition",
        "fresh",
        "leaves",
        "marks",
        "memories",
        "name",
        "order",
        "present",
        "queued",
        "retry_at",
        "saved",
        "since",
        "spec",
        "state",
        "suppression",
        "sure",
        "timing",
        "truth",
        "until",
    )

    def __init__(
        self,
        spec: AlarmSpec,
        order: int,
        points: Points,
        now: float,
        history: History | None = None,
        guard: Guard = unguarded,
    ) -> None:
        _check(spec)
        self.spec = spec
        self.name = f"rule {spec.id}"
        """As the guard calls it."""
        self.order = order
        self.condition = build(spec.when, points, now)
        self.suppression = None if spec.suppressed_by is None else Suppression(spec.suppressed_by, points, now)
        parts = [self.condition] if self.suppression is None else [self.condition, self.suppression.condition]
        self.leaves = [leaf for part in parts for leaf in part.leaves]
        """All that is fed by scans: of the condition, and of what suppresses it."""
        self.memories = [memory for part in parts for memory in part.memories]
        history = {} if history is None else history
        self._guard = guard
        self._witnessed = [Witnessed(self.condition, spec.when, spec.rule, history)]
        if self.suppression is not None and spec.suppressed_by is not None:
            self._witnessed.append(Witnessed(self.suppression.condition, spec.suppressed_by, spec.rule, history))
        self.timing = Timing(spec.on_delay_s, spec.off_delay_s)
        self.state = State.NORMAL
        self.since: float | None = None
        """When the condition last became present, or the alarm left NORMAL; None in NORMAL."""
        self.present = False
        """The condition is present, as far as it was told."""
        self.aside: Aside | None = None
        """Who hides it, while it is shelved or out of service."""
        self.acknowledged: float | None = None
        """When it was acknowledged, while it is ACKNOWLEDGED and would call again."""
        self.until = NEVER
        """When time ends its state, whatever the condition is: shelving, service, acknowledged for too long."""
        self.cause: Sample | Deadline | Command | None = None
        """Of the last transition since the start."""
        self.marks: tuple[Mark, ...] = ()
        """The engine's: of its last transition to UNACKNOWLEDGED since the start."""
        self.fresh = True
        """Not judged since the start."""
        self.retry_at: float | None = None
        """Taken out by a bug until then; None while it works."""
        self.truth = self.sure = UNKNOWN
        """The condition on both tracks when it was judged last; it has not changed since."""
        self.saved: bytes | None = None
        """What `encode` gave when it was last handed out."""
        self.queued = math.inf
        """The engine's: when it will look at this alarm again."""
        looked = spec.when if spec.suppressed_by is None else (spec.when, spec.suppressed_by)
        self._rule = zlib.crc32(repr(looked).encode())

    def move(self, order: int, points: Points, history: History) -> None:
        """Into the engine of another site, in which the points it looks at stand where they stood."""
        self.order = order
        self.condition.points = points
        if self.suppression is not None:
            self.suppression.condition.points = points
        for told in self._witnessed:
            told.history = history

    @property
    def due(self) -> float:
        """When time alone will change something. At once after a start."""
        if self.retry_at is not None:
            return self.retry_at
        if self.fresh:
            return -math.inf
        due = self.condition.due
        if self.timing.due < due:
            due = self.timing.due
        if self.until < due:
            due = self.until
        return due if self.suppression is None else min(due, self.suppression.due)

    def wake(self, at: float) -> tuple[Transition, ...]:
        """`due` is there. Where several things end at one time it is still due afterwards."""
        if at >= self.until:
            self.retry_at = None
            return self._time_is_up(at)
        self.condition.wake(at)
        if self.suppression is not None:
            self.suppression.condition.wake(at)
        return self.judge(at, None)

    def judge(self, at: float, scan: Scan | None) -> tuple[Transition, ...]:
        """A condition may have changed, by `scan` or by time."""
        self.fresh = False
        self.retry_at = None
        if self.suppression is None:
            return self._judge(at, scan)
        suppressed = self.suppression.judge(at)
        first = self._hide(at, scan) if suppressed and self.state not in ASIDE else ()
        told = self._judge(at, scan)
        last = self._end(at, self._reason(at, scan)) if not suppressed and self.state == State.SUPPRESSED else ()
        return (*first, *told, *last)

    def _judge(self, at: float, scan: Scan | None) -> tuple[Transition, ...]:
        root = self.condition.root
        self.truth = root.truth(NOW, at)
        self.sure = root.truth(SURE, at)
        if not self.timing.step(self.truth, self.sure, at):
            return ()
        if self.timing.active:
            event, track = Event.RAISE, NOW
        else:
            event, track = Event.LATCH if self.spec.latching else Event.CLEAR, SURE
        # A bug in what is only told must not keep an alarm from being raised.
        told = self._guard("evidence of alarms", partial(_decided, root, track, at, scan))
        leaf, cause = told or (None, Deadline(at))
        return self._move(event, at, cause, leaf)

    def _hide(self, at: float, scan: Scan | None) -> tuple[Transition, ...]:
        assert self.suppression is not None
        return self._move(Event.SUPPRESS, at, self._reason(at, scan), self.suppression.witness(at), 1)

    def _reason(self, at: float, scan: Scan | None) -> Sample | Deadline:
        """Why suppression began or ended."""
        assert self.suppression is not None
        return _cause(self.suppression.witness(at), at, scan)

    def _time_is_up(self, at: float) -> tuple[Transition, ...]:
        if self.state in ASIDE:
            return self._end(at, Deadline(at))
        return self._move(Event.REALARM, at, Deadline(at))

    def _end(self, at: float, cause: Sample | Deadline | Command) -> tuple[Transition, ...]:
        """What hid it is over; where it is suppressed by design besides, that goes on."""
        if self.state in _BY_PERSON and self.suppression is not None and self.suppression.active:
            return self._move(Event.SUPPRESS, at, cause)
        return self._move(Event.END_PRESENT if self.timing.active else Event.END_OVER, at, cause)

    def broke(self, at: float) -> None:
        """A bug ended what was done with it. Its state stands; what its points said may be half taken in, so it is unknown."""
        for _, leaf in self.leaves:
            leaf.doubt()
        self.timing.set(self.present, None if self.present else self.timing.on.since)
        self.retry_at = at + RETRY_S

    @property
    def calendars(self) -> list[Calendar]:
        """All that the clocks concern: of the condition, and of what suppresses it."""
        more = [] if self.suppression is None else self.suppression.condition.calendars
        return self.condition.calendars + more

    def date(self, clocks: Clocks) -> bool:
        """The clocks changed; true when that says when what hides it ends."""
        if self.aside is None or self.aside.dated(clocks) is self.aside:
            return False
        self.aside = limited(self.aside.dated(clocks), self.spec, clocks.at, shelved=self.state == State.SHELVED)
        self.until = self.aside.until
        return True

    def obey(self, command: Command, at: float, clocks: Clocks | None = None) -> tuple[Transition, ...] | Text:
        """Do what a person asks, or say why not."""
        if command.action in _ENDS:
            if self.state != _ENDS[command.action]:
                return refusal(self.state, command.action)
            return self._end(at, command)
        event = _COMMANDS.get(command.action)
        if event is None or (self.state, event) not in TABLE:
            return refusal(self.state, command.action)
        if self.spec.cls == AlarmClass.FIRE:
            if event == Event.RESET and self.sure != FALSE:
                return FIRE_NOT_OVER
            if event == Event.TAKE_OUT and self.state in _LATCHED:
                return FIRE_LATCHED  # else returning it to service would be a reset that asks nobody
        if event not in (Event.SHELVE, Event.TAKE_OUT):
            return self._move(event, at, command)
        aside = asked(command, self.spec, at, clocks)
        if isinstance(aside, Text):
            return aside
        moved = self._move(event, at, command)
        self.aside, self.until = aside, aside.until
        return moved

    def _move(
        self, event: Event, at: float, cause: Sample | Deadline | Command, witness: Leaf | None = None, of: int = 0
    ) -> tuple[Transition, ...]:
        """`witness`: what decided, of the condition (0) or of what suppresses it (1)."""
        after = TABLE.get((self.state, event))
        if after is None:
            return ()
        told = self._witnessed[of]
        evidence = self._guard("evidence of alarms", partial(told.evidence, witness, at))
        before, self.state = self.state, after
        self.present = self.timing.active
        if event == Event.RAISE or self.since is None:
            self.since = at
        since = self.since
        if after == State.NORMAL:
            self.since = None
        if after not in _BY_PERSON:
            self.aside = None
        self.acknowledged = at if after == State.ACKNOWLEDGED and self.spec.realarm_s is not None else None
        self.until = self._until()
        self.cause = cause
        return (Transition(self.spec.id, before, after, at, cause, since, self.present, evidence),)

    def _until(self) -> float:
        if self.state in _BY_PERSON:
            return -math.inf if self.aside is None else self.aside.until
        if self.state == State.SUPPRESSED:
            return NEVER if self.suppression is not None else -math.inf
        if self.acknowledged is not None and self.spec.realarm_s is not None:
            return self.acknowledged + self.spec.realarm_s
        return NEVER

    def encode(self) -> bytes | None:
        """State, times (monotonic) and the rule's memory as JSON."""
        memory = [part.remembered() for part in self.memories]
        on = self.timing.on.since
        if self.state == State.NORMAL and on is None and not any(memory):
            return None
        saved: dict[str, object] = {"state": self.state}
        if self.since is not None:
            saved["since"] = self.since
        if self.state in ASIDE:
            saved["active"] = self.timing.active
        if self.aside is not None:
            saved["aside"] = self.aside.saved()
        if self.acknowledged is not None:
            saved["acknowledged"] = self.acknowledged
        if on is not None:
            saved["on"] = on
        if any(memory):
            saved["memory"] = memory
        if on is not None or any(memory):
            saved["rule"] = self._rule
        return json.dumps(saved, separators=(",", ":")).encode()

    def restore(self, saved: bytes, shift_s: float, now: float, *, bridged: bool = True) -> bool:
        """Take back what `encode` gave, its times moved by `shift_s`; false when it cannot be read. Not `bridged`: nobody
        knows how long it was off, so what a person hid for a time comes back, unless the clock is soon set (`Aside.unbridged`)."""
        try:
            self._restore(json.loads(saved), shift_s, now)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self._restore(json.loads(_NEW), 0.0, now)
            return False
        hidden = State.SHELVED, State.SUPPRESSED
        if self.aside is not None and not bridged:
            self.aside = self.aside.unbridged(now)
            self.until = self.aside.until
        if self.state in hidden and self.spec.cls in LIFE:
            self.until = -math.inf
        return True

    def _restore(self, data: Mapping[str, object], shift_s: float, now: float) -> None:
        state = State(str(data["state"]))
        since = saved_time(data["since"], shift_s, now) if "since" in data else None
        same_rule = data.get("rule") == self._rule  # the delay and the memory of another rule mean nothing
        on = saved_time(data["on"], shift_s, now) if same_rule and "on" in data else None
        memory = data.get("memory", []) if same_rule else []
        if not isinstance(memory, list):
            raise TypeError("no memories")
        for part, one in zip(self.memories, memory or [None] * len(self.memories), strict=True):
            part.remember(one, shift_s, now)
        aside = restored(data["aside"], shift_s, now) if state in _BY_PERSON and "aside" in data else None
        if aside is not None:
            aside = limited(aside, self.spec, aside.at, shelved=state == State.SHELVED)
        acknowledged = None
        if state == State.ACKNOWLEDGED and self.spec.realarm_s is not None:
            acknowledged = saved_time(data["acknowledged"], shift_s, now) if "acknowledged" in data else now
        self.present = data["active"] is True if state in ASIDE else state in ACTIVE
        self.state, self.since, self.aside, self.acknowledged = state, since, aside, acknowledged
        self.cause, self.fresh = None, True
        self.until = self._until()
        self.timing.set(self.present, None if self.present else on)
        if self.suppression is not None:
            self.suppression.set(state == State.SUPPRESSED, now)


def _check(spec: AlarmSpec) -> None:
    if not (0 <= spec.on_delay_s < math.inf and 0 <= spec.off_delay_s < math.inf):
        raise ValueError("a delay is no time")
    if spec.realarm_s is not None and not 0 < spec.realarm_s < math.inf:
        raise ValueError("realarm_s is no time")
    if spec.suppressed_by is not None and spec.cls in LIFE:
        raise ValueError("a fire, personal or entrapment alarm is never suppressed")


def _decided(root: Node, track: int, at: float, scan: Scan | None) -> tuple[Leaf, Sample | Deadline]:
    """What made the condition what it is."""
    leaf = root.witness(track, at, scan)
    return leaf, _cause(leaf, at, scan)


def _cause(leaf: Leaf, at: float, scan: Scan | None) -> Sample | Deadline:
    sample = leaf.sample()
    return Deadline(at, sample) if scan is None or sample is None else sample
