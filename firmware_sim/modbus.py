"""A Modbus slave: request -> answer, for RTU lines and TCP servers. Pure.

Function codes, limits, exceptions, CRC and MBAP header are pymodbus's, an implementation that shares nothing with the
gateway's. Its server is not used: it has no multidrop RTU line any more, and over TCP it gives a late answer the
transaction number of the newest request (measured with 3.16.1: asked 1 for register 0 and, before the answer, 2 for
register 1, it answered 2 twice, the second time with register 0) and leaves the second of two pipelined requests
unanswered. An oracle must not do that by itself.

It reads (functions 1 to 4) and sets coils that are points (5 and 15); everything else is refused as ILLEGAL FUNCTION.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from firmware_sim.fault import Fault, What
from firmware_sim.registers import RegisterMap, Table, Value
from firmware_sim.slave import Answer, Heard

DECODER = DecodePDU(True)
RTU = FramerRTU(DECODER)
MBAP = FramerSocket(DECODER)
WRITES = (5, 15)
ON_OFF = (b"\xff\0", b"\0\0")
TABLES: Mapping[int, Table] = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


@dataclass(frozen=True, slots=True)
class Tables:
    """What pymodbus's requests read from (hence the method's name): the register map with the values of now."""

    map: RegisterMap
    values: Mapping[str, Value]

    async def async_getValues(self, _device: int, function: int, address: int, count: int) -> list[int] | ExcCodes:
        content = self.map.read(TABLES[function], address, count, self.values)
        return ExcCodes.ILLEGAL_ADDRESS if content is None else content


@dataclass(frozen=True, slots=True)
class ModbusSlave:
    """One addressed device."""

    device: str
    address: int
    map: RegisterMap

    def check(self, point: str, value: Value) -> None:
        """ValueError when the device cannot say this value."""
        next(candidate for candidate in self.map.points if candidate.name == point).raw(value)

    def hear(self, frame: bytes, values: Mapping[str, Value], fault: Fault) -> Answer | Heard:
        """RTU: the answer to one whole frame."""
        if len(frame) < 4 or FramerRTU.compute_CRC(frame[:-2]) != int.from_bytes(frame[-2:]):
            return Heard.NOISE
        if frame[0] != self.address:
            return Heard.OTHERS
        pdu, points, writes = self._take(frame[1:-2], values, fault)
        return Answer(self.device, RTU.encode(pdu, self._speaks_as(fault), 0), points, writes)

    def hear_tcp(self, transaction: int, request: bytes, values: Mapping[str, Value], fault: Fault) -> Answer:
        """TCP: the answer to one request without its header."""
        pdu, points, writes = self._take(request, values, fault)
        return Answer(self.device, MBAP.encode(pdu, self._speaks_as(fault), transaction), points, writes)

    def _take(
        self, request: bytes, values: Mapping[str, Value], fault: Fault
    ) -> tuple[bytes, Mapping[str, Value], Mapping[str, Value]]:
        """Request PDU -> answer PDU, the points in it, and the points that it set."""
        if request and request[0] in WRITES and fault.what not in (What.EXCEPTION, What.SILENT):
            pdu, writes = self.write(request)
            return pdu, {}, writes
        return *self.reply(request, values, fault), {}

    def write(self, request: bytes) -> tuple[bytes, Mapping[str, Value]]:
        """Functions 5 and 15: answer PDU and the coils that it sets; all of them, or none."""
        single = request[0] == 5
        sound = request[3:] in ON_OFF if single else len(request) > 5 and len(request) == 6 + request[5]
        asked = DECODER.decode(request) if sound else None
        if asked is None or not (single or 0 < asked.count <= len(asked.bits)):
            return _refusal(request[0], ExcCodes.ILLEGAL_VALUE), {}
        coils = {point.register: point.name for point in self.map.points if point.table is Table.COIL}
        bits = asked.bits if single else asked.bits[: asked.count]
        wanted = range(asked.address, asked.address + len(bits))
        if not coils.keys() >= set(wanted):
            return _refusal(request[0], ExcCodes.ILLEGAL_ADDRESS), {}
        return request[:5], {coils[address]: int(bit) for address, bit in zip(wanted, bits, strict=True)}

    def reply(self, request: bytes, values: Mapping[str, Value], fault: Fault) -> tuple[bytes, Mapping[str, Value]]:
        """Request PDU -> answer PDU and the points in it."""
        function = request[0] if request else 0
        if function not in TABLES:
            return _refusal(function, ExcCodes.ILLEGAL_FUNCTION), {}
        if fault.what is What.EXCEPTION:
            return _refusal(function, fault.code), {}
        asked = DECODER.decode(request)
        if asked is None or len(request) != 5:
            return _refusal(function, ExcCodes.ILLEGAL_VALUE), {}
        answer: ModbusPDU = _result(asked.datastore_update(Tables(self.map, values), self.address))  # type: ignore[arg-type]  # takes whatever has async_getValues
        points = {} if answer.isError() else self.map.carried(TABLES[function], asked.address, asked.count, values)
        return bytes([answer.function_code]) + answer.encode(), points

    def _speaks_as(self, fault: Fault) -> int:
        return self.address % 247 + 1 if fault.what is What.FOREIGN else self.address


def _refusal(function: int, code: int) -> bytes:
    refusal = ExceptionResponse(function, code)
    return bytes([refusal.function_code]) + refusal.encode()


def _result(coroutine: Coroutine[Any, Any, ModbusPDU]) -> ModbusPDU:
    """Run a coroutine that never waits: pymodbus's requests are async only in their signature here."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: ModbusPDU = done.value
        return result
    raise RuntimeError("a Modbus request waited for something")
