"""How an alarm stands, for those who look: the console, the outputs, a test of rules. Plain values; nothing is decided here."""

from __future__ import annotations

from typing import NamedTuple

from gateway.model import Command, Deadline, Mark, Sample, State, Text
from rules.alarm import Alarm
from rules.aside import Aside
from rules.spec import AlarmSpec
from rules.texts import headline


class Standing(NamedTuple):
    """One alarm at one moment."""

    spec: AlarmSpec
    text: Text
    """With its place."""
    state: State
    since: float | None
    """Monotonic time at which it last became active; None in NORMAL."""
    truth: int
    """The condition now, before its delays: `rules.truth`, FALSE (0) to TRUE (4)."""
    evidence: Sample | Deadline | Command | None
    """The cause of the last transition; None if there was none since the start."""
    present: bool = False
    """The condition after its delays: what an alarm that is aside hides."""
    aside: Aside | None = None
    """Who hides it, why and until when, while it is shelved or out of service."""
    marks: tuple[Mark, ...] = ()
    """Of its last transition to UNACKNOWLEDGED."""


def standing(alarm: Alarm) -> Standing:
    spec = alarm.spec
    return Standing(
        spec,
        headline(spec),
        alarm.state,
        alarm.since,
        alarm.truth,
        alarm.cause,
        alarm.present,
        alarm.aside,
        alarm.marks,
    )
