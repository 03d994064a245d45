"""The story of a scene: steps with times -> one list of what changes when. Pure; seconds count from ``go``.

    {at: 8, set: {smoke-1204/alarm: 1}}
    {at: 3, ramp: {point: smoke-1203/density, to: 7.5, over_s: 3}}          a straight line from the value it then has
    {at: 14, creep: {point: tilt-1/x, c: 0.6, fails_at: 42, until: 40}}     speed c / (fails_at - t), as slopes fail (Saito)
    {at: 20, fault: {device: smoke-1204, what: silent}}

Ramps and creeps become small steps every 100 ms. A later step on a point ends an earlier one on it. Where a ramp starts
follows from the scene and the story alone: values set by hand in between are not seen. Steps with other words (``link``,
``gateway``) belong to whoever plays the demo and are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware_sim.registers import Value

STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at one time of the story."""

    at: float
    points: Mapping[str, Value] = field(default_factory=dict)
    fault: Mapping[str, Any] | None = None


Curve = list[tuple[float, Value]]


def timeline(steps: Sequence[Mapping[str, Any]], start: Mapping[str, Value]) -> list[Moment]:
    """All moments in order; `start` holds the value of each point (``device/name``) at the beginning.

    ValueError names the step that cannot be understood.
    """
    curves: dict[str, Curve] = {}
    faults: list[Moment] = []
    for step in sorted(steps, key=_at):
        at = _at(step)
        try:
            if "fault" in step:
                faults.append(Moment(at, fault=dict(step["fault"])))
            for point, curve in _curves(step, at, start, curves).items():
                earlier = [moment for moment in curves.get(point, []) if moment[0] < at]
                curves[point] = earlier + curve
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"step at {at}: {type(error).__name__}: {error}") from None
    together: dict[float, dict[str, Value]] = {}
    for point, curve in curves.items():
        for at, value in curve:
            together.setdefault(at, {})[point] = value
    moments = [Moment(at, points) for at, points in together.items()]
    return sorted(moments + faults, key=lambda moment: moment.at)


def _at(step: Mapping[str, Any]) -> float:
    at = step.get("at")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or at < 0:
        raise ValueError(f"step {dict(step)}: at: {at!r} is not a number of seconds after go")
    return float(at)


def _curves(
    step: Mapping[str, Any], at: float, start: Mapping[str, Value], curves: Mapping[str, Curve]
) -> dict[str, Curve]:
    """What one step makes of the points that it names."""
    if "set" in step:
        return {
            point: [(at, int(value) if isinstance(value, bool) else value)]
            for point, value in dict(step["set"]).items()
        }
    for name, shape in (("ramp", _ramp), ("creep", _creep)):
        if name in step:
            said = step[name]
            point = said["point"]
            now = next((value for when, value in reversed(curves.get(point, [])) if when < at), start[point])
            if now is None:
                raise ValueError(f"{point} has no value that a {name} could start from")
            return {point: shape(at, float(now), said)}
    return {}


def _ramp(at: float, begin: float, said: Mapping[str, Any]) -> Curve:
    end, over_s = float(said["to"]), float(said["over_s"])
    if not over_s > 0:
        raise ValueError(f"ramp: over_s: {over_s} is not more than 0; use set")
    return [(when, _tidy(begin + (end - begin) * (when - at) / over_s)) for when in _times(at, at + over_s)]


def _creep(at: float, begin: float, said: Mapping[str, Any]) -> Curve:
    c, fails_at, until = float(said["c"]), float(said["fails_at"]), float(said["until"])
    if not at < until < fails_at:
        raise ValueError(f"creep: needs at < until < fails_at, not {at}, {until}, {fails_at}")
    return [(when, _tidy(begin + c * math.log((fails_at - at) / (fails_at - when)))) for when in _times(at, until)]


def _times(begin: float, end: float) -> list[float]:
    """Every 100 ms after `begin`, and `end` itself; rounded, so that equal times of two steps are one moment."""
    count = max(1, math.ceil(round((end - begin) / STEP_S, 6)))
    return [round(min(begin + STEP_S * index, end), 6) for index in range(1, count + 1)]


def _tidy(value: float) -> float:
    return round(value, 6)
