"""What the control socket answers: read-only pictures of the running gateway, built when somebody asks.

Every time a person sees is wall time; every point carries its quality and its age, never a bare value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.clock import Clock
from gateway.config import Site
from gateway.control import Refused
from gateway.model import Device, Kind, Level, Place, Point, Quality, Scan, Text
from gateway.pipeline import Pipeline
from gateway.restart import Guard
from rules.engine import Engine


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
    ) -> None:
        """`parts`: name -> status of a bus, lane or uplink, as plain JSON values."""
        self._site = site
        self._devices = {device.id: device for device in devices}
        self._engine = engine
        self._pipeline = pipeline
        self._clock = clock
        self._guard = guard
        self._parts = parts
        self._started = clock.monotonic()

    def table(self) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        return {
            "status": lambda _: self.status(),
            "points": lambda _: {"points": [row for device in self._devices for row in self.points(device)]},
            "alarms": lambda _: {"alarms": self.alarms()},
            "read": self._read,
        }

    def status(self) -> dict[str, Any]:
        now = self._clock.monotonic()
        return {
            "gateway": self._site.gateway.id,
            "uptime_s": round(now - self._started, 1),
            "clock": "trusted" if self._clock.trusted() else "untrusted",
            "scans": self._pipeline.scans,
            "devices": [self._device(device) for device in self._devices.values()],
            "alarms": self.alarms(),
            "parts": {name: status() for name, status in self._parts.items()},
            "faults": dict(self._guard.faults),
        }

    def alarms(self) -> list[dict[str, Any]]:
        """Every alarm that is not in the normal state, the gravest and newest first."""
        rows = []
        for name, alarm in self._engine.alarms().items():
            if alarm.since is None:
                continue
            progress = self._pipeline.progress.get(name)
            rows.append(
                {
                    "id": name,
                    "class": alarm.spec.cls.value,
                    "severity": alarm.spec.severity.name.lower(),
                    "state": alarm.state.value,
                    "since": self._wall(alarm.since),
                    "text": alarm.text._asdict(),
                    "place": self._place(alarm.spec.place),
                    "stage": progress.stage if progress else "committed",
                    "times": progress.times if progress else {},
                }
            )
        order = {"critical": 0, "high": 1, "medium": 2, "low": 3}
        return sorted(rows, key=lambda row: (order[row["severity"]], -row["since"]))

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
        return {"device": self._device(self._devices[device_id]), "points": self.points(device_id)}

    def _device(self, device: Device) -> dict[str, Any]:
        scans = [self._pipeline.latest.get((device.id, index)) for index in range(len(device.groups))]
        worst = max((_worst(scan) for scan in scans), default=Quality.NOT_YET)
        return {
            "id": device.id,
            "bus": device.bus,
            "text": device.text._asdict(),
            "place": self._place(device.place),
            "quality": worst.label,
            "simulated": device.simulated,
        }

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
            "usable": quality.level is not Level.BAD,
            "age_s": round(self._clock.monotonic() - scan.at, 2) if scan else None,
        }

    def _place(self, place: Place) -> dict[str, str]:
        return place.text()._asdict()

    def _wall(self, at: float) -> float:
        return round(self._clock.wall() - (self._clock.monotonic() - at), 3)


def _worst(scan: Scan | None) -> Quality:
    return Quality(max(scan.qualities, default=0)) if scan else Quality.NOT_YET
