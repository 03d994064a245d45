"""A fire panel behind a NOTIFIER-like Modbus gateway: point words in holding registers, worked out without the gateway's
driver, with pymodbus's framing (`firmware_sim.modbus`).

Detector n of loop k is register 400 (k - 1) + n - 1, its modules lie 200 further, the status word is register 9499. What
is not there answers 0xFF in its low byte. It is asked by functions 1 to 4 like any slave here; what else it is asked is
refused and kept in `commands`: whoever tests a gateway that must never command a panel looks there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_sim.fault import HEALTHY, Fault
from firmware_sim.modbus import ModbusSlave
from firmware_sim.registers import Table, Value
from firmware_sim.slave import Answer

ACKNOWLEDGED, DISABLED, ENABLED, ACTIVE, INACTIVE, TROUBLE, PRE_ALARM = (1 << bit for bit in (8, 9, 10, 11, 12, 13, 14))
ABSENT = 0x00FF
NORMAL = ENABLED | INACTIVE
STATUS = 9499
LAST = 10 * 400


@dataclass(slots=True)
class Panel:
    """One panel."""

    unit: int = 1
    words: dict[int, int] = field(default_factory=dict)
    """By register; the others are absent."""
    status: int = 0
    commands: list[bytes] = field(default_factory=list)
    """Request PDUs that were no reads."""
    reads: int = 0

    def put(self, loop: int, kind: str, number: int, word: int = NORMAL) -> None:
        """``kind``: detector or module."""
        self.words[400 * (loop - 1) + (200 if kind == "module" else 0) + number - 1] = word

    def fire(self, loop: int, number: int, event: int = 1) -> None:
        """A detector goes into alarm."""
        self.put(loop, "detector", number, ENABLED | ACTIVE | event)

    def answer(self, transaction: int, request: bytes) -> Answer:
        """Over TCP: the answer to one request without its header."""
        self._note(request)
        return self._slave().hear_tcp(transaction, request, {}, HEALTHY)

    def hear(self, frame: bytes, fault: Fault = HEALTHY) -> object:
        """Over RTU: the answer to one whole frame."""
        self._note(frame[1:-2])
        return self._slave().hear(frame, {}, fault)

    def _note(self, request: bytes) -> None:
        if request[:1] and request[0] in (1, 2, 3, 4):
            self.reads += 1
        else:
            self.commands.append(request)

    def _slave(self) -> ModbusSlave:
        return ModbusSlave("panel", self.unit, self)  # type: ignore[arg-type]  # takes whatever reads like a RegisterMap

    def read(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> list[int] | None:
        """`RegisterMap.read`."""
        if table is not Table.HOLDING or (start + count > LAST and (start, count) != (STATUS, 1)):
            return None
        if start == STATUS:
            return [self.status]
        return [self.words.get(register, ABSENT) for register in range(start, start + count)]

    def carried(self, table: Table, start: int, count: int, values: Mapping[str, Value]) -> dict[str, Value]:
        """`RegisterMap.carried`: none of its registers is a point of a scene."""
        return {}
