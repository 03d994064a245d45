"""An RS-485 line with real timing: what comes out of it, and when, given what went in, and when. Pure.

* A byte takes start + 8 + parity + stop bits at the line's rate, in each direction; one sends at a time.
* A request ends with 3.5 characters of silence (1.75 ms above 19200 baud). Only then do the devices look at it, each on
  its own: several protocols and addresses share the line, and all of them hear everything.
* The answer begins after the device's response time, and never within those 3.5 characters.
* The receiving side has a FIFO like a UART's: what arrives is handed over in blocks of `fifo` bytes, and at the end.

Written down as ``bad_request``: a request that begins within 3.5 characters after the last byte on the line
(``too_early``) or is torn by a longer pause (``gap``), one that nobody can read (``unreadable``), and one that meets
bytes which nobody asked for (``collision``, never the master's fault). A request that comes too early or collides is
lost, as it is for a strict slave. The master's time is taken when its bytes are seen here, so never too early.

On a real wire (`Wire.REAL`, two adapters, see `tty_port`) the adapters take the bytes' time themselves: an answer is
handed over whole when it begins, and the end of a request is waited for longer, since an adapter hands over in blocks.

It does not model electrical damage of colliding bytes: two senders go one after the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from firmware_sim.fault import INTACT, What, distort
from firmware_sim.field import Field
from firmware_sim.log import Log
from firmware_sim.slave import Answer, Heard, Slave

ADAPTER_S = 0.02
"""How much later than its first bytes a USB adapter may hand over the rest of a request (FTDI: 16 ms as delivered)."""


class Wire(Enum):
    MODELLED = "modelled"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class Timing:
    """What the line's settings make of time."""

    character_s: float
    silence_s: float
    response_s: float = 0.005
    fifo: int = 8
    wire: Wire = Wire.MODELLED

    @property
    def end_s(self) -> float:
        """Silence after which a request is taken as ended."""
        return self.silence_s if self.wire is Wire.MODELLED else max(self.silence_s, ADAPTER_S)

    @classmethod
    def of(cls, baud: int, parity: str = "N", stop_bits: int = 1, response_s: float = 0.005, fifo: int = 8) -> Timing:
        character_s = (9 + (parity != "N") + stop_bits) / baud
        return cls(character_s, 0.00175 if baud > 19200 else 3.5 * character_s, response_s, fifo)


@dataclass(order=True, slots=True)
class Sending:
    """Bytes on their way to the master."""

    due: float
    order: int
    pieces: deque[tuple[float, bytes]] = field(compare=False)
    """The first piece is being sent (its pause is over); the others wait for theirs."""
    answer: Answer | None = field(compare=False)
    """None: nobody asked for these bytes."""
    fault: What = field(default=What.NONE, compare=False)
    sent: int = field(default=0, compare=False)


@dataclass
class Line:
    """The state of one line; all times are monotonic seconds handed in, and never go back."""

    id: str
    timing: Timing
    slaves: Sequence[Slave]
    world: Field
    log: Log
    random: Random

    def __post_init__(self) -> None:
        self._heard = bytearray()
        self._heard_end = float("-inf")
        self._lost = False  # the request being received will be thrown away
        self._torn = b""  # the last request, if nobody could read it
        self._free_at = float("-inf")  # when the last byte on the line ended, or will have ended
        self._asked = True  # whether the master asked for what was last on the line
        self._sending: Sending | None = None
        self._waiting: list[Sending] = []
        self._echo: deque[tuple[float, bytes]] = deque()
        self._babble_at = float("-inf")
        self._order = 0

    def receive(self, at: float, data: bytes) -> None:
        """The master sent `data`, the first byte of it starting at `at`. Call `step` with the same time before."""
        begins = not self._heard
        if begins and at < self._free_at + self.timing.silence_s * 0.999:
            self._lost = True
            self._complain(
                "too_early" if self._asked else "collision",
                at,
                data,
                early_s=self._free_at + self.timing.silence_s - at,
            )
        start = at if begins else max(at, self._heard_end)
        self._heard += data
        self._heard_end = start + len(data) * self.timing.character_s
        self._free_at = max(self._free_at, self._heard_end)
        self._asked = True
        if self._any(What.ECHO):
            self._echo.append((self._heard_end, data))

    def step(self, at: float) -> bytes:
        """Everything that has arrived at the master's end by now and was not handed over yet."""
        out = bytearray()
        self._noise(at)
        while True:
            while self._echo and self._echo[0][0] <= at:
                out += self._echo.popleft()[1]
            if self._sending is not None:
                out += self._arrived(self._sending, at)
                if self._sending is not None:
                    return bytes(out)
            elif self._heard:
                if at < self._heard_end + self.timing.end_s:
                    return bytes(out)
                self._end_of_request()
            elif self._waiting and self._start(self._waiting[0]) <= at:
                self._sending = heapq.heappop(self._waiting)
                earliest = at if self.timing.wire is Wire.REAL else self._sending.due
                self._sending.due = max(self._start(self._sending), earliest)
                self._asked = self._sending.answer is not None and self._sending.fault is not What.LATE
                self._free_at = self._sending.due + len(self._sending.pieces[0][1]) * self.timing.character_s
            else:
                return bytes(out)

    def wake_at(self) -> float:
        """When `step` will next have something to do if the master stays silent; infinity: never."""
        times = [self._echo[0][0]] if self._echo else []
        if self._sending is not None:
            length = len(self._sending.pieces[0][1])
            block = self._sending.sent - self._sending.sent % self.timing.fifo + self.timing.fifo
            times.append(self._sending.due + min(block, length) * self.timing.character_s)
        elif self._heard:
            times.append(self._heard_end + self.timing.end_s)
        elif self._waiting:
            times.append(self._start(self._waiting[0]))
        if self._any(What.BABBLE):
            times.append(self._babble_at)
        return min(times, default=float("inf"))

    def _start(self, sending: Sending) -> float:
        """When a waiting transmission may begin: when due, and not while another one is on the line."""
        return max(sending.due, self._free_at)

    def _arrived(self, sending: Sending, at: float) -> bytes:
        """The bytes of the transmission that have arrived since last time, in whole blocks or to the end."""
        data = sending.pieces[0][1]
        count = min(len(data), int((at - sending.due) / self.timing.character_s + 1e-6))
        if self.timing.wire is Wire.REAL:
            count = len(data) if at >= sending.due else 0
        elif count < len(data):
            count -= count % self.timing.fifo
        block = data[sending.sent : max(count, sending.sent)]
        sending.sent += len(block)
        if sending.sent == len(data):
            self._piece_sent(sending, sending.due + len(data) * self.timing.character_s)
        return block

    def _piece_sent(self, sending: Sending, end: float) -> None:
        sending.pieces.popleft()
        if sending.pieces and sending.fault is What.SLOW:  # the pauses of a slow device are inside its answer
            sending.due, sending.sent = end + sending.pieces[0][0], 0
            self._free_at = sending.due + len(sending.pieces[0][1]) * self.timing.character_s
            return
        self._sending = None
        if sending.answer is not None:
            self._tell(sending.answer, sending.fault, end)
        if sending.pieces:
            self._send(end + sending.pieces[0][0], list(sending.pieces), None, sending.fault)

    def _end_of_request(self) -> None:
        request, end, lost = bytes(self._heard), self._heard_end, self._lost
        self._heard.clear()
        self._lost = False
        if lost:
            return
        known = False
        for slave in self.slaves:
            fault = self.world.fault(slave.device)
            answer = slave.hear(request, self.world.values(slave.device), fault)
            known = known or answer is not Heard.NOISE
            if not isinstance(answer, Answer):
                continue
            self.world.set({f"{answer.device}/{point}": value for point, value in answer.writes.items()})
            pieces = distort(fault, answer.data, self.random)
            if any(data for _, data in pieces):
                due = end + max(self.timing.response_s, self.timing.silence_s) + pieces[0][0]
                self._send(due, pieces, answer, fault.what)
            else:
                self._tell(answer, fault.what, end)
        if known:
            self._torn = b""
        else:
            self._unreadable(request, end)

    def _unreadable(self, request: bytes, end: float) -> None:
        whole = self._torn + request
        answers = [
            slave.hear(whole, self.world.values(slave.device), self.world.fault(slave.device)) for slave in self.slaves
        ]
        torn = any(answer is not Heard.NOISE for answer in answers)
        self._torn = b"" if torn else request
        self._complain("gap" if torn else "unreadable", end, whole if torn else request)

    def _send(self, due: float, pieces: Sequence[tuple[float, bytes]], answer: Answer | None, fault: What) -> None:
        self._order += 1
        if pieces[0][1]:
            heapq.heappush(self._waiting, Sending(due, self._order, deque(pieces), answer, fault))

    def _noise(self, at: float) -> None:
        """Bytes that nobody asked for, while a device babbles."""
        for slave in self.slaves:
            fault = self.world.fault(slave.device)
            if fault.what is What.BABBLE and self._babble_at <= at:
                self._babble_at = at + fault.every_s
                if any(sending.fault is What.BABBLE and sending.answer is None for sending in self._waiting):
                    continue  # the line cannot carry as much noise as this device makes
                self._send(at, [(0.0, self.random.randbytes(fault.burst))], None, What.BABBLE)

    def _any(self, what: What) -> bool:
        return any(self.world.fault(slave.device).what is what for slave in self.slaves)

    def _tell(self, answer: Answer, fault: What, at: float) -> None:
        if fault in INTACT:
            self.log.write("answer", at, device=answer.device, points=dict(answer.points))
        else:
            self.log.write("spoilt_answer", at, device=answer.device, points=dict(answer.points), fault=str(fault))

    def _complain(self, why: str, at: float, request: bytes, early_s: float | None = None) -> None:
        more = {} if early_s is None else {"early_s": round(early_s, 6)}
        self.log.write("bad_request", at, line=self.id, why=why, request=request.hex(), **more)
