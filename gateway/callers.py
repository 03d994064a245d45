"""What persons want of the devices that call us, and what those said: the duty check and the list of all that speaks.

Requests on the control socket: ``{"do": "heard"}`` and ``{"do": "duty_check", "device":, "minutes":, "who":, "why":}``.

Guarantees: a duty check is a record of the alarm lane with the person who asked for it, also when it was refused, before
it is answered; it goes to the device's driver (`Driver.tells`), and what becomes of it are points of the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from drivers import DRIVERS
from gateway.clock import Clock
from gateway.control import Answer, Caller, Refused, Talk, View
from gateway.ledger import Ledger
from gateway.model import Action, Command, Device, Text
from gateway.wire import payloads

LONGEST_MIN = 255
"""One byte in GB/T 26875.3; the standard of the device ends its prompt after 10 min."""


class Port(Protocol):
    """A port on which devices call us: `gateway.field.listener`, `gateway.field.datagrams`."""

    def heard(self) -> list[dict[str, object]]: ...
    def tell(self, device: str, what: str, amount: float) -> Text | None: ...


class Callers:
    """Answers for all such ports of a site."""

    def __init__(self, devices: Sequence[Device], ports: Mapping[str, Port], ledger: Ledger, clock: Clock) -> None:
        self._devices = {device.id: device for device in devices if device.bus in ports}
        self._ports = ports
        self._ledger = ledger
        self._clock = clock

    def views(self) -> dict[str, View]:
        return {"heard": self._heard}

    def talks(self) -> dict[str, Talk]:
        return {Action.DUTY_CHECK.value: self._duty_check}

    def _heard(self, request: Mapping[str, Any]) -> Answer:
        rows: list[dict[str, object]] = []
        for bus, port in self._ports.items():
            drivers = sorted({device.driver for device in self._devices.values() if device.bus == bus})
            rows += [{"bus": bus, "driver": " ".join(drivers), **row} for row in port.heard()]
        return {"heard": rows, "ports": list(self._ports)}

    async def _duty_check(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        name, minutes = str(request.get("device", ""))[:200], request.get("minutes")
        said = str(request.get("who") or "").strip()[:80]
        if not said:
            raise Refused(Text("须注明姓名（who）", "say who asks (who)"))
        if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= LONGEST_MIN:
            raise Refused(Text(f"minutes 须为 1 至 {LONGEST_MIN}", f"minutes must be 1 to {LONGEST_MIN}"))
        who, why = f"{said} ({caller.peer})", str(request.get("why") or "")[:200]
        command = Command(Action.DUTY_CHECK, name, who, self._clock.monotonic(), why, for_s=60.0 * minutes)
        refused = self._send(name, minutes)
        self._ledger.record(payloads.COMMAND, payloads.command(command, refused))
        if refused:
            raise Refused(refused)
        return {"who": who, "device": name, "minutes": minutes}

    def _send(self, name: str, minutes: int) -> Text | None:
        """Why it cannot be sent; None when the driver has it."""
        device = self._devices.get(name)
        if device is None:
            known = ", ".join(self._devices) or "-"
            return Text(f"没有可查岗的设备 {name}；已有：{known}", f"no device {name} that calls us; known: {known}")
        if Action.DUTY_CHECK.value not in DRIVERS[device.driver].tells:
            return Text(f"设备 {name} 不支持查岗", f"device {name} knows no duty check")
        return self._ports[device.bus].tell(name, Action.DUTY_CHECK.value, float(minutes))
