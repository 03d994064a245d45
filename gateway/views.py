"""What the control socket answers: read-only pictures of the running gateway, built when somebody asks.

Every time a person sees is wall time; every point carries its quality and its age, never a bare value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.control import Refused
from gateway.model import Deadline, Device, Kind, Level, Place, Point, Quality, Sample, Scan, Text
from gateway.pipeline import Pipeline
from gateway.restart import Guard
from gateway.wire.reasons import REASONS
from rules.engine import Engine
from rules.lifecycle import ACTIVE, ASIDE
from rules.load import STALE_S
from rules.standing import Standing
from rules.texts import advice
from rules.truth import TRUE_UNCERTAIN

WHY: dict[Quality, str] = {
    Quality.NOT_YET: "not_yet",
    Quality.LINE_DOWN: "line",
    Quality.NO_SUCH_REGISTER: "configuration",
    Quality.DRIVER_FAULT: "gateway",
}
"""Why there is no data, in one word; what is not here is the sensor's."""
WORDS: dict[str, Text] = {
    "": Text("正常", "-"),
    "not_yet": Text("尚未应答", "not yet heard"),
    "line": Text("线路", "line"),
    "sensor": Text("设备", "sensor"),
    "configuration": Text("配置", "configuration"),
    "gateway": Text("网关", "gateway"),
}
_NO_ANSWER = frozenset((Quality.NOT_RESPONDING, Quality.BAD_FRAME))


class Views:
    """Holds the parts that it looks at; changes none of them."""

    def __init__(
        self,
        site: Site,
        devices: Sequence[Device],
        engine: Engine,
        pipeline: Pipeline,
        clock: Clock,
        guard: Guard,
        parts: Mapping[str, Callable[[], object]],
        started: float | None = None,
    ) -> None:
        """`parts`: name -> status of a bus, lane or uplink, as plain JSON values. `started`: monotonic; now when None."""
        self._site = site
        self._devices = {device.id: device for device in devices}
        self._engine = engine
        self._pipeline = pipeline
        self._clock = clock
        self._guard = guard
        self._parts = parts
        self.started = clock.monotonic() if started is None else started

    def table(self) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        return {
            "status": lambda _: self.status(),
            "points": lambda _: {"points": [row for device in self._devices for row in self.points(device)]},
            "alarms": lambda _: {"alarms": self.alarms(), "aside": self.aside()},
            "read": self._read,
        }

    def status(self) -> dict[str, Any]:
        now = self._clock.monotonic()
        return {
            "gateway": self._site.gateway.id,
            "uptime_s": round(now - self.started, 1),
            "clock": "trusted" if self._clock.trusted() else "untrusted",
            "scans": self._pipeline.scans,
            "devices": self.devices(),
            "alarms": self.alarms(),
            "aside": self.aside(),
            "parts": {"alarms": self._engine.load(now), **{name: status() for name, status in self._parts.items()}},
            "faults": dict(self._guard.faults),
        }

    def devices(self) -> list[dict[str, Any]]:
        """Every device with the worst quality of its points, and why there is no data in one word (`WORDS`)."""
        worst = self._worst()
        return [self._device(device, worst) for device in self._devices.values()]

    def alarms(self) -> list[dict[str, Any]]:
        """Every alarm that stands or returned and is not hidden, the gravest and newest first."""
        rows = [
            self._alarm(name, alarm)
            for name, alarm in self._engine.alarms().items()
            if alarm.since is not None and alarm.state not in ASIDE
        ]
        return sorted(rows, key=_gravest)

    def aside(self) -> list[dict[str, Any]]:
        """Every alarm that is shelved, out of service or suppressed by design, as long as it is: who, why, until when, and
        whether its condition is present."""
        rows = []
        for name, alarm in self._engine.aside().items():
            who = alarm.aside
            more = {
                "who": who.who if who else "",
                "why": who.why if who else "",
                "hidden_since": self._wall(who.at) if who else None,
                "until": self._wall(who.until) if who else None,
            }
            rows.append(self._alarm(name, alarm) | more)
        return sorted(rows, key=_gravest)

    def _alarm(self, name: str, alarm: Standing) -> dict[str, Any]:
        progress = self._pipeline.trail.latest.get(name)
        cause = alarm.evidence.sample if isinstance(alarm.evidence, Deadline) else alarm.evidence
        since = alarm.since if alarm.since is not None else self._clock.monotonic()
        told = self._pipeline.wording.message(
            alarm.spec, alarm.state, since, cause if isinstance(cause, Sample) else None
        )
        return {
            "id": name,
            "class": alarm.spec.cls.value,
            "severity": alarm.spec.severity.name.lower(),
            "state": alarm.state.value,
            "present": alarm.present,
            "marks": [*alarm.marks, *(["stale"] if self._stale(alarm) else [])],
            "since": self._wall(since),
            "text": alarm.text._asdict(),
            "message": told._asdict(),
            "advice": advice(alarm.spec)._asdict(),
            "place": self._place(alarm.spec.place),
            "stage": progress.stage if progress else "committed",
            "times": progress.times if progress else {},
        }

    def _stale(self, alarm: Standing) -> bool:
        """Active for so long that nobody sees it any more."""
        return alarm.state in ACTIVE and alarm.since is not None and self._clock.monotonic() - alarm.since > STALE_S

    def points(self, device_id: str) -> list[dict[str, Any]]:
        device = self._devices[device_id]
        rows = []
        for index, group in enumerate(device.groups):
            scan = self._pipeline.latest.get((device_id, index))
            rows += [self._point(point, column, scan) for column, point in enumerate(group.points)]
        return rows

    def _read(self, request: Mapping[str, Any]) -> dict[str, Any]:
        device_id = str(request.get("device", ""))
        if device_id not in self._devices:
            known = ", ".join(self._devices)
            raise Refused(Text(f"没有设备 {device_id}；已有：{known}", f"no device {device_id}; known: {known}"))
        return {"device": self._device(self._devices[device_id], self._worst()), "points": self.points(device_id)}

    def _device(self, device: Device, qualities: Mapping[str, Quality]) -> dict[str, Any]:
        worst = qualities[device.id]
        why = self._why(device, qualities)
        return {
            "id": device.id,
            "bus": device.bus,
            "text": device.text._asdict(),
            "place": self._place(device.place),
            "quality": worst.label,
            "why": why,
            "why_text": WORDS[why]._asdict(),
            "reason": _reason(worst),
            "simulated": device.simulated,
        }

    def _worst(self) -> dict[str, Quality]:
        """The worst quality of each device's points. One whose silence the rules have seen is NOT_RESPONDING whatever its
        last scan said: that one is old (its bus hangs, or is being started again)."""
        silent = {name for name, alarm in self._engine.alarms().items() if alarm.truth >= TRUE_UNCERTAIN}
        found = {}
        for device in self._devices.values():
            scans = [self._pipeline.latest.get((device.id, index)) for index in range(len(device.groups))]
            worst = max((_worst(scan) for scan in scans), default=Quality.NOT_YET)
            old = worst.level is not Level.BAD and f"{device.id}/silent" in silent
            found[device.id] = Quality.NOT_RESPONDING if old else worst
        return found

    def _why(self, device: Device, worst: Mapping[str, Quality]) -> str:
        """A line on which nobody of several answers is the line's fault: a cut cable looks like many dead sensors."""
        own = worst[device.id]
        if own.level is not Level.BAD:
            return ""
        line = [worst[other.id] for other in self._devices.values() if other.bus == device.bus]
        if own in _NO_ANSWER and len(line) > 1 and _NO_ANSWER.issuperset(line):
            return "line"
        return WHY.get(own, "sensor")

    def _point(self, point: Point, column: int, scan: Scan | None) -> dict[str, Any]:
        quality = Quality(scan.qualities[column]) if scan else Quality.NOT_YET
        value = scan.values[column] if scan else None
        label = dict(point.labels).get(value) if point.kind is Kind.ENUM and isinstance(value, int) else None
        return {
            "id": point.id,
            "text": point.text._asdict(),
            "value": label if label is not None else value,
            "unit": point.unit,
            "quality": quality.label,
            "reason": _reason(quality),
            "usable": quality.level is not Level.BAD,
            "age_s": round(self._clock.monotonic() - scan.at, 2) if scan else None,
        }

    def _place(self, place: Place) -> dict[str, str]:
        return place.text()._asdict()

    def _wall(self, at: float) -> float:
        return round(self._clock.wall() - (self._clock.monotonic() - at), 3)


def _reason(quality: Quality) -> dict[str, str] | None:
    """What is wrong with a value, in words; None when it is good."""
    return REASONS[quality]._asdict() if quality else None


def _worst(scan: Scan | None) -> Quality:
    return Quality(max(scan.qualities, default=0)) if scan else Quality.NOT_YET


_ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3}


def _gravest(row: Mapping[str, Any]) -> tuple[int, float]:
    return _ORDER[row["severity"]], -row["since"]
