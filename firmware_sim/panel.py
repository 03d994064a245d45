"""A fire panel behind a NOTIFIER-like Modbus gateway: point words in holding registers, worked out without the gateway's
driver, with pymodbus's framing (`firmware_sim.modbus`).

Detector n of loop k is register 400 (k - 1) + n - 1, its modules lie 200 further, the status word is register 9499. What
is not there answers 0xFF in its low byte. It is asked by functions 1 to 4 like any slave here; what else it is asked is
refused and kept in `commands`: whoever tests a gateway that must never command a panel looks there.

In a scene an address has the values of `STATES`, such as ``l1_d007_active`` and ``l1_m001_absent``; alone, `words` says
what stands in a register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware_sim.fault import HEALTHY, Fault
from firmware_sim.modbus import ModbusSlave
from firmware_sim.registers import Table, Value
from firmware_sim.slave import Answer, Heard

ACKNOWLEDGED, DISABLED, ENABLED, ACTIVE, INACTIVE, TROUBLE, PRE_ALARM = (1 << bit for bit in (8, 9, 10, 11, 12, 13, 14))
ABSENT = 0x00FF
NORMAL = ENABLED | INACTIVE
STATES = {"active": ACTIVE, "pre_alarm": PRE_ALARM, "trouble": TROUBLE, "disabled": DISABLED, "absent": ABSENT}
STATUS = 9499
LAST = 10 * 400
MOST = 159


def register(loop: int, kind: str, number: int) -> int:
    """``kind``: detector or module."""
    return 400 * (loop - 1) + (200 if kind == "module" else 0) + number - 1


@dataclass(slots=True)
class Panel:
    """One panel."""

    device: str = "panel"
    address: int = 1
    words: dict[int, int] = field(default_factory=dict)
    """By register; the others are absent."""
    names: Mapping[int, str] = field(default_factory=dict)
    """By register: the address of a scene, such as l1_d007; its values say what stands there."""
    status: int = 0
    commands: list[bytes] = field(default_factory=list)
    """Request PDUs that were no reads."""
    reads: int = 0

    @classmethod
    def of(cls, device: str, address: int, loops: Mapping[Any, Any]) -> Panel:
        """A panel of a scene, from ``{1: {detectors: [1, 20], modules: [1, 5]}}``. Raises ValueError."""
        names = {}
        for loop, spans in loops.items():
            for part, span in spans.items():
                if loop not in range(1, 11) or part not in ("detectors", "modules"):
                    raise ValueError(f"loops: {loop}: {part}: loops are 1 to 10, of detectors and modules")
                first, last = span
                if not 1 <= first <= last <= MOST:
                    raise ValueError(f"loops: {loop}: {part}: {span} is not first and last of 1 to {MOST}")
                for number in range(first, last + 1):
                    names[register(loop, part[:-1], number)] = f"l{loop}_{part[0]}{number:03d}"
        return cls(device, address, names=names)

    def points(self) -> tuple[str, ...]:
        """The names of its values in a scene."""
        return ("status", *(f"{name}_{state}" for name in self.names.values() for state in STATES))

    def check(self, point: str, value: Value) -> None:
        """`firmware_sim.field.Check`."""
        most = 0xFFFF if point == "status" else 1
        if value is None or value != int(value) or not 0 <= value <= most:
            raise ValueError(f"{point}: {value} is not a whole number in 0..{most}")

    def put(self, loop: int, kind: str, number: int, word: int = NORMAL) -> None:
        self.words[register(loop, kind, number)] = word

    def fire(self, loop: int, number: int, event: int = 1) -> None:
        """A detector goes into alarm."""
        self.put(loop, "detector", number, ENABLED | ACTIVE | event)

    def hear(self, frame: bytes, values: Mapping[str, Value] | None = None, fault: Fault = HEALTHY) -> Answer | Heard:
        """RTU: the answer to one whole frame."""
        self._note(frame[1:-2])
        return self._slave().hear(frame, values or {}, fault)

    def hear_tcp(
        self, transaction: int, request: bytes, values: Mapping[str, Value] | None = None, fault: Fault = HEALTHY
    ) -> Answer:
        """TCP: the answer to one request without its header."""
        self._note(request)
        return self._slave().hear_tcp(transaction, request, values or {}, fault)

    def read(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> list[int] | None:
        """`RegisterMap.read`."""
        if table is not Table.HOLDING or (start + count > LAST and (start, count) != (STATUS, 1)):
            return None
        if start == STATUS:
            return [int(values.get("status") or self.status)]
        return [self._word(one, values) for one in range(start, start + count)]

    def carried(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> dict[str, Value]:
        """`RegisterMap.carried`."""
        if table is not Table.HOLDING:
            return {}
        names = [self.names[one] for one in range(start, start + count) if one in self.names]
        points = [f"{name}_{state}" for name in names for state in STATES]
        return {
            point: values[point] for point in [*points, *(["status"] if start == STATUS else [])] if point in values
        }

    def _word(self, at: int, values: Mapping[str, Value]) -> int:
        name = self.names.get(at)
        if name is None:
            return self.words.get(at, ABSENT)
        there = {state for state in STATES if values.get(f"{name}_{state}")}
        if "absent" in there:
            return ABSENT
        word = sum(STATES[state] for state in there)
        word |= 1 if "active" in there else INACTIVE
        return word if "disabled" in there else word | ENABLED

    def _note(self, request: bytes) -> None:
        if request[:1] and request[0] in (1, 2, 3, 4):
            self.reads += 1
        else:
            self.commands.append(request)

    def _slave(self) -> ModbusSlave:
        return ModbusSlave(self.device, self.address, self)  # type: ignore[arg-type]  # takes whatever reads like a RegisterMap
