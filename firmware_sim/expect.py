"""What a report needs to know of a story: which change causes which alarm, and when that change was made. Pure.

    {alarm: fire-1203, device: smoke-1203, point: alarm, at_value: 1}         when the point becomes this value
    {alarm: fire-1203, device: smoke-1203, point: density, above: 5}          ... comes over (below: under) this value
    {alarm: slope-tilt-rate, device: tilt-1, point: x, rate: 0.03, over_s: 3} ... moves faster, a second, since `over_s` ago
    {alarm: smoke-1204/silent, device: smoke-1204, fault: silent}             when the device gets this fault

Several entries of one alarm are ways into it: the first to come true counts. This is what the simulated world did, taken
from the simulator's own log; the gateway has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TESTS = ("at_value", "above", "below", "rate", "fault")


@dataclass(frozen=True, slots=True)
class Expectation:
    alarm: str
    device: str
    point: str
    test: str
    """One of `TESTS`."""
    value: float | str
    over_s: float = 0.0


def parse(said: Mapping[str, Any]) -> Expectation:
    """One entry of ``expect:``; ValueError when it cannot be understood."""
    tests = [test for test in TESTS if test in said]
    wanted = (
        {"alarm", "device", *tests}
        | ({"point"} if tests != ["fault"] else set())
        | ({"over_s"} if tests == ["rate"] else set())
    )
    if len(tests) != 1 or said.keys() != wanted:
        raise ValueError(
            f"needs alarm, device, point and one of {', '.join(TESTS)} (fault: no point; rate: over_s); has {', '.join(said)}"
        )
    value = said[tests[0]] if tests[0] == "fault" else float(said[tests[0]])
    return Expectation(
        said["alarm"], said["device"], said.get("point", ""), tests[0], value, float(said.get("over_s", 0))
    )


def changed_at(
    expectations: Sequence[Expectation], entries: Iterable[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Alarm -> the log entry (``t``, ``mono``) of the change that causes it; an alarm without one is left out."""
    entries = list(entries)
    caused: dict[str, Mapping[str, Any]] = {}
    for expectation in expectations:
        cause = next((entry for entry in entries if _causes(expectation, entry, entries)), None)
        known = caused.get(expectation.alarm)
        if cause is not None and (known is None or cause["mono"] < known["mono"]):
            caused[expectation.alarm] = cause
    return caused


def _causes(expectation: Expectation, entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> bool:
    if entry.get("device") != expectation.device:
        return False
    if expectation.test == "fault":
        return bool(entry["event"] == "fault" and entry["what"] == expectation.value)
    if not _of(expectation, entry):
        return False
    value, limit = float(entry["value"]), float(expectation.value)
    match expectation.test:
        case "above":
            return value > limit
        case "below":
            return value < limit
        case "at_value":
            return value == limit
    earlier = [e for e in entries if _of(expectation, e) and e["mono"] <= entry["mono"] - expectation.over_s]
    if not earlier:
        return False
    before = earlier[-1]
    return abs(value - float(before["value"])) / float(entry["mono"] - before["mono"]) > limit


def _of(expectation: Expectation, entry: Mapping[str, Any]) -> bool:
    """Whether `entry` is a change to a value of the point that is meant."""
    point = (entry.get("device"), entry.get("point"))
    return (
        entry["event"] == "change" and point == (expectation.device, expectation.point) and entry["value"] is not None
    )
