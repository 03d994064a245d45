"""The body of ``gengfu.alarm.transition``: an alarm changed its state, why, where, and what a person must read. Pure.

Guarantees
* One self-contained JSON object: a receiver needs no site file to show it.
* Always valid JSON; a value that JSON cannot say is null.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, Protocol

from gateway.model import AlarmClass, Command, Deadline, Place, Sample, Severity, State, Text, Transition

STANDING = frozenset(
    {State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED}
)
"""States in which the alarm stands: its condition holds, or it is latched until a person resets it."""
ACKNOWLEDGED = frozenset({State.ACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED})
_PLACE = ("grid", "building", "unit", "floor", "flat", "position", "zone")


class Described(Protocol):
    """What is needed of a `rules.spec.AlarmSpec` (pure rooms do not import one another)."""

    @property
    def id(self) -> str: ...
    @property
    def cls(self) -> AlarmClass: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def text(self) -> Text: ...
    @property
    def place(self) -> Place: ...


def encode(transition: Transition, spec: Described, *, simulated: bool = False) -> bytes:
    """The body. `simulated`: the alarm looks at simulated devices."""
    return to_json(
        {
            "alarm": transition.alarm,
            "class": spec.cls.value,
            "severity": spec.severity.name.lower(),
            "before": transition.before.value,
            "after": transition.after.value,
            "active": transition.after in STANDING,
            "acknowledged": transition.after in ACKNOWLEDGED,
            "text": headline(spec)._asdict(),
            "place": {name: part for name in _PLACE if (part := getattr(spec.place, name))},
            "since": transition.since,
            "cause": _cause(transition.cause),
            "simulated": simulated,
        }
    )


def headline(spec: Described) -> Text:
    """The alarm's text with its place, unless the text already says it."""
    place, text = spec.place.text(), spec.text
    zh = text.zh if place.zh in text.zh else f"{place.zh} {text.zh}"
    en = text.en if place.en in text.en else f"{text.en}, {place.en}"
    return Text(zh, en)


def _cause(cause: Sample | Deadline | Command) -> dict[str, Any]:
    if isinstance(cause, Sample):
        return {"kind": "sample", **_sample(cause)}
    if isinstance(cause, Deadline):
        return {"kind": "deadline", "at": cause.at, "sample": cause.sample and _sample(cause.sample)}
    return {"kind": "command", "action": cause.action.value, "who": cause.who, "why": cause.why, "at": cause.at}


def _sample(sample: Sample) -> dict[str, Any]:
    value = sample.value
    if isinstance(value, float) and not isfinite(value):
        value = None
    return {"point": sample.point, "value": value, "quality": sample.quality.label, "at": sample.at}


def to_json(body: dict[str, Any]) -> bytes:
    """Compact UTF-8; a lone surrogate becomes a question mark rather than an error."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
