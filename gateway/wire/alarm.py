"""The body of ``gengfu.alarm.transition``: an alarm changed its state, why, where, and what a person must read. Pure.

Guarantees
* One self-contained JSON object: a receiver needs no site file to show it.
* Always valid JSON; a value that JSON cannot say is null.
* At most `LARGEST_BYTES`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple, Protocol

from gateway.model import AlarmClass, Command, Deadline, Evidence, Place, Sample, Severity, State, Text, Transition

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
    def place(self) -> Place: ...


LARGEST_BYTES = 16 * 1024
"""Of a body: an alarm must not wait long behind another on a slow link. Evidence gives way first."""
LONGEST_VALUE = 64
"""Characters of a text value."""


class Words(NamedTuple):
    """What people read, made by `rules.texts`."""

    text: Text
    message: Text


def encode(transition: Transition, spec: Described, words: Words, *, simulated: bool = False) -> bytes:
    """The body. `simulated`: the alarm looks at simulated devices."""
    body = {
        "alarm": transition.alarm,
        "class": spec.cls.value,
        "severity": spec.severity.name.lower(),
        "before": transition.before.value,
        "after": transition.after.value,
        "active": transition.after in STANDING,
        "acknowledged": transition.after in ACKNOWLEDGED,
        "present": transition.present,
        "text": words.text._asdict(),
        "message": words.message._asdict(),
        "place": {name: part for name in _PLACE if (part := getattr(spec.place, name))},
        "since": transition.since,
        "cause": _cause(transition.cause),
        "evidence": transition.evidence and _evidence(transition.evidence),
        "marks": list(transition.marks),
        "simulated": simulated,
    }
    made = to_json(body)
    return made if len(made) <= LARGEST_BYTES else to_json(body | {"evidence": None})


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "samples": [_sample(sample) for sample in evidence.samples],
        "left_out": evidence.left_out,
        "trend": [_sample(sample) for sample in evidence.trend],
        "rule": evidence.rule,
        "crc": f"{evidence.crc:08x}",
        "when": _plain(evidence.when),
    }


def _plain(value: Any) -> Any:
    """As JSON can say it: a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _cause(cause: Sample | Deadline | Command) -> dict[str, Any]:
    if isinstance(cause, Sample):
        return {"kind": "sample", **_sample(cause)}
    if isinstance(cause, Deadline):
        return {"kind": "deadline", "at": cause.at, "sample": cause.sample and _sample(cause.sample)}
    told = {"kind": "command", "action": cause.action.value, "who": cause.who, "why": cause.why, "at": cause.at}
    return told if cause.for_s is None else told | {"for_s": cause.for_s}


def _sample(sample: Sample) -> dict[str, Any]:
    value = sample.value
    if isinstance(value, str):
        value = value[:LONGEST_VALUE]
    elif value is not None and not (isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63):
        value = None
    return {"point": sample.point, "value": value, "quality": sample.quality.label, "at": sample.at}


def to_json(body: dict[str, Any]) -> bytes:
    """Compact UTF-8; a lone surrogate becomes a question mark rather than an error."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
