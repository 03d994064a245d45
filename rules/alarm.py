"""One alarm: its condition, its delays and its place in the life cycle, and what of it survives a restart.

Guarantees
* A transition is made only on change and carries what caused it: the sample that completed the condition, the deadline
  that ended (with the sample that last held), or the command of a person.
* `encode` gives the same bytes as long as nothing that must survive has changed; None when nothing needs to.
* After `restore` an active alarm stays active until two new frames know its condition to be false: nothing is known at
  boot, and unknown never clears. An on-delay goes on where it was; an off-delay starts anew, for nobody looked in between.
* What cannot be read is refused as a whole; the alarm is then as new.
* After a bug (`broke`) it keeps its state and knows nothing until its points are read again.

It does not know other alarms or who is due when (see `rules.engine`).
"""

from __future__ import annotations

import json
import math
import zlib

from gateway.model import Action, AlarmClass, Command, Deadline, Sample, Scan, State, Text, Transition
from rules.condition import Points, build
from rules.lifecycle import ACTIVE, ASIDE, TABLE, Event
from rules.spec import AlarmSpec
from rules.texts import FIRE_NOT_OVER, REFUSED
from rules.timing import Timing
from rules.truth import FALSE, NOW, SURE, UNKNOWN
from rules.window import saved_time

_COMMANDS = {Action.ACKNOWLEDGE: Event.ACKNOWLEDGE, Action.RESET: Event.RESET}

_NEW = b'{"state":"normal"}'
RETRY_S = 1.0
"""When an alarm that a bug took out is looked at again, if no scan of its points does so before."""


class Alarm:
    __slots__ = (
        "_rule",
        "cause",
        "condition",
        "fresh",
        "name",
        "order",
        "queued",
        "retry_at",
        "saved",
        "since",
        "spec",
        "state",
        "sure",
        "timing",
        "truth",
    )

    def __init__(self, spec: AlarmSpec, order: int, points: Points, now: float) -> None:
        if not (0 <= spec.on_delay_s < math.inf and 0 <= spec.off_delay_s < math.inf):
            raise ValueError("a delay is no time")
        self.spec = spec
        self.name = f"rule {spec.id}"
        """As the guard calls it."""
        self.order = order
        self.condition = build(spec.when, points, now)
        self.timing = Timing(spec.on_delay_s, spec.off_delay_s)
        self.state = State.NORMAL
        self.since: float | None = None
        """When it last became active; None in NORMAL."""
        self.cause: Sample | Deadline | Command | None = None
        """Of the last transition since the start."""
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
        self._rule = zlib.crc32(repr(spec.when).encode())

    @property
    def due(self) -> float:
        """When time alone will change something. At once after a start; and at once where a restored alarm is shelved,
        suppressed or out of service: this release has nothing that could end that later."""
        if self.retry_at is not None:
            return self.retry_at
        if self.fresh:
            return -math.inf
        timing, condition = self.timing.due, self.condition.due
        return min(condition, timing)

    def wake(self, at: float) -> Transition | None:
        """`due` is there."""
        if self.state in ASIDE:
            return self._move(Event.END_PRESENT if self.timing.active else Event.END_OVER, at, Deadline(at))
        self.condition.wake(at)
        return self.judge(at, None)

    def judge(self, at: float, scan: Scan | None) -> Transition | None:
        """The condition may have changed, by `scan` or by time."""
        self.fresh = False
        self.retry_at = None
        root = self.condition.root
        self.truth = root.truth(NOW, at)
        self.sure = root.truth(SURE, at)
        if not self.timing.step(self.truth, self.sure, at):
            return None
        if self.timing.active:
            event, track = Event.RAISE, NOW
        else:
            event, track = Event.LATCH if self.spec.latching else Event.CLEAR, SURE
        sample = root.witness(track, at, scan).sample()
        return self._move(event, at, Deadline(at, sample) if scan is None or sample is None else sample)

    def broke(self, at: float) -> None:
        """A bug ended what was done with it. Its state stands; what its points said may be half taken in, so it is unknown."""
        for _, leaf in self.condition.leaves:
            leaf.doubt()
        active = self.timing.active if self.state in ASIDE else self.state in ACTIVE
        self.timing.set(active, None if active else self.timing.on.since)
        self.retry_at = at + RETRY_S

    def obey(self, command: Command, at: float) -> Transition | Text:
        """Do what a person asks, or say why not."""
        event = _COMMANDS[command.action]
        if event == Event.RESET and self.spec.cls == AlarmClass.FIRE and self.sure != FALSE:
            return REFUSED.get((self.state, command.action), FIRE_NOT_OVER)
        return self._move(event, at, command) or REFUSED[self.state, command.action]

    def _move(self, event: Event, at: float, cause: Sample | Deadline | Command) -> Transition | None:
        after = TABLE.get((self.state, event))
        if after is None:
            return None
        before, self.state = self.state, after
        if after == State.UNACKNOWLEDGED or self.since is None:
            self.since = at
        since = self.since
        if after == State.NORMAL:
            self.since = None
        self.cause = cause
        return Transition(self.spec.id, before, after, at, cause, since)

    def encode(self) -> bytes | None:
        """State, times (monotonic) and the rule's memory as JSON."""
        memory = [part.remembered() for part in self.condition.memories]
        on = self.timing.on.since
        if self.state == State.NORMAL and on is None and not any(memory):
            return None
        saved: dict[str, object] = {"state": self.state}
        if self.since is not None:
            saved["since"] = self.since
        if self.state in ASIDE:
            saved["active"] = self.timing.active
        if on is not None:
            saved["on"] = on
        if any(memory):
            saved["memory"] = memory
        if on is not None or any(memory):
            saved["rule"] = self._rule
        return json.dumps(saved, separators=(",", ":")).encode()

    def restore(self, saved: bytes, shift_s: float, now: float) -> bool:
        """Take back what `encode` gave, its times moved by `shift_s`; false when it cannot be read."""
        try:
            self._restore(saved, shift_s, now)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self._restore(_NEW, 0.0, now)
            return False
        return True

    def _restore(self, saved: bytes, shift_s: float, now: float) -> None:
        data = json.loads(saved)
        state = State(data["state"])
        since = saved_time(data["since"], shift_s, now) if "since" in data else None
        same_rule = data.get("rule") == self._rule  # the delay and the memory of another rule mean nothing
        on = saved_time(data["on"], shift_s, now) if same_rule and "on" in data else None
        memories = self.condition.memories
        memory = data.get("memory", []) if same_rule else []
        for part, one in zip(memories, memory or [None] * len(memories), strict=True):
            part.remember(one, shift_s, now)
        active = data["active"] is True if state in ASIDE else state in ACTIVE
        self.state, self.since, self.cause, self.fresh = state, since, None, True
        self.timing.set(active, None if active else on)
