"""A Modbus TCP server with any number of units behind it, as a serial server or a controller shows them.

Each request is answered on its own: a late answer keeps its transaction number and holds up no other. Requests may be
pipelined. A unit that is not there gets exception 0B (gateway target failed to respond), as pymodbus's server does.
A frame that is none ends the connection and is logged as ``bad_request``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse

from firmware_sim.fault import INTACT, What, distort, in_stream
from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.modbus import MBAP, ModbusSlave
from firmware_sim.panel import Panel
from firmware_sim.slave import Answer

LONGEST_FRAME_BYTES = 260


class Server:
    """One listening socket on 127.0.0.1."""

    def __init__(
        self, id: str, units: Sequence[ModbusSlave | Panel], world: Field, log: Log, random: Random, response_s: float
    ) -> None:
        self.id = id
        self._units = {unit.address: unit for unit in units}
        self._world, self._log, self._random, self._response_s = world, log, random, response_s
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self, port: int = 0) -> int:
        """Listen; the port that was given."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", port)
        given: int = self._server.sockets[0].getsockname()[1]
        return given

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            await self._server.wait_closed()

    def opened(self, transport: asyncio.Transport) -> None:
        self._open.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        self._open.discard(transport)

    def take(self, request: bytes, send: Callable[[bytes], None]) -> bool:
        """Answer one whole frame through `send`, now or later; False when it is no frame."""
        length, unit, transaction, pdu = MBAP.decode(request)
        if length != len(request) or not pdu:
            self._log.write("bad_request", line=self.id, why="unreadable", request=request.hex())
            return False
        slave = self._units.get(unit)
        loop = asyncio.get_running_loop()
        due = loop.time() + self._response_s
        if slave is None:
            refusal = ExceptionResponse(pdu[0], ExcCodes.GATEWAY_NO_RESPONSE)
            loop.call_at(due, send, MBAP.encode(bytes([refusal.function_code]) + refusal.encode(), unit, transaction))
            return True
        fault = self._world.fault(slave.device)
        answer = slave.hear_tcp(transaction, pdu, self._world.values(slave.device), fault)
        self._world.set({f"{answer.device}/{point}": value for point, value in answer.writes.items()})
        if fault.what is What.GARBLED:  # no checksum in this protocol: only the header can be seen to be wrong
            pieces = [(0.0, answer.data[:2] + b"\xa5\x5a" + answer.data[4:])]
        else:
            pieces = distort(fault, in_stream(fault, request, self._random) + answer.data, self._random)
        for pause_s, data in pieces:
            due += pause_s
            loop.call_at(due, send, data)
        loop.call_at(due, self._tell, answer, fault.what)
        return True

    def _tell(self, answer: Answer, fault: What) -> None:
        if fault in INTACT:
            self._log.write("answer", device=answer.device, points=dict(answer.points))
        else:
            self._log.write("spoilt_answer", device=answer.device, points=dict(answer.points), fault=str(fault))


class Connection(asyncio.Protocol):  # asyncio's own base class: its default methods, nothing of ours
    """Cuts one client's stream into frames."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 6:
            length = 6 + int.from_bytes(self._received[4:6])
            whole = len(self._received) >= length
            if not whole and length <= LONGEST_FRAME_BYTES:
                return
            request = bytes(self._received[:length])
            del self._received[:length]
            if not self._server.take(request, self._send):
                self._transport.abort()
                return

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
