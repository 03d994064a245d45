"""A fire transmission device (用户信息传输装置) of GB/T 26875.3-2011, by the standard and not by the gateway's codec.

It uploads each change of a component, a facility system, a measured value or itself, one frame at a time, waits 10 s for
the confirmation and sends again three times, at once when it is denied (clause 6.5); it answers questions of types 61, 62,
63 and 81, confirms a clock that is set and a duty check, and denies what it does not know. Somebody presses the key of the
duty check `duty_after_s` later, or nobody does; the prompt ends after the minutes that the centre gave. Fire goes before
everything that waits (GB 26875.1). Sans-io: time comes in as `now`, bytes to be sent come out; whoever drives it owns the
connection (`transmitter`, for one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ANSWER_S = 10.0
SENDS = 4
"""Once, and three repetitions."""
FIRE = 1 << 1
SYSTEM, COMPONENT, ANALOGUE, OWN, OPERATION = 1, 2, 3, 21, 24
READ_SYSTEM, READ_COMPONENT, READ_ANALOGUE, READ_OWN, SET_CLOCK, DUTY_CHECK = 61, 62, 63, 81, 90, 91
DUTY_ANSWER = 1 << 5


def framed(head: bytes, command: int, data: bytes = b"") -> bytes:
    """A frame around data; `head` is serial, version, time, source and destination, 22 bytes."""
    body = head + bytes([len(data) & 0xFF, len(data) >> 8, command]) + data
    return b"@@" + body + bytes([sum(body) % 256]) + b"##"


@dataclass(frozen=True, slots=True)
class Part:
    """A component as the device knows it."""

    type: int
    address: bytes
    """Four bytes as on the wire."""
    description: str = ""
    system: int = 1
    system_address: int = 1

    def upload(self, state: int, time: bytes) -> bytes:
        text = self.description.encode("gb18030")[:31].ljust(31, b"\0")
        head = bytes([self.system, self.system_address, self.type])
        return head + self.address + bytes([state & 0xFF, state >> 8]) + text + time


@dataclass(slots=True)
class _Upload:
    data: bytes
    urgent: bool
    serial: int = -1
    sends: int = 0


@dataclass(slots=True)
class Uitd:
    """One device on one connection."""

    address: int
    centre: int
    parts: Sequence[Part]
    time: bytes = bytes.fromhex("00000c150b1a")
    """Its clock as a time tag; it does not go."""
    heartbeat_s: float | None = None
    operator: int = 1
    duty_after_s: float | None = None
    """How long after a duty check somebody presses the key; None: nobody does."""
    state: int = 1
    states: dict[bytes, int] = field(default_factory=dict)
    """By component address; 1 is normal operation."""
    systems: dict[tuple[int, int], int] = field(default_factory=lambda: {(1, 1): 1})
    """By type and address of the facility system."""
    values: dict[tuple[int, int, bytes, int], int] = field(default_factory=dict)
    """By system, its address, component address and analogue type: the number on the wire."""
    delivered: list[bytes] = field(default_factory=list)
    """Data of the uploads that were confirmed, in order."""
    failed: list[bytes] = field(default_factory=list)
    duty_checks: list[int] = field(default_factory=list)
    """Minutes of each."""
    clocks: list[bytes] = field(default_factory=list)
    """Time tags that its clock was set to."""
    _press: float | None = None
    """When somebody presses the key."""
    _waiting: list[_Upload] = field(default_factory=list)
    _open: _Upload | None = None
    _due: float = 0.0
    _beat: float = 0.0
    _serial: int = 0
    _buffer: bytes = b""

    def change(self, part: Part, state: int) -> None:
        """A component's state becomes `state`; it is uploaded at the next `step`."""
        self.states[part.address] = state
        self._queue(bytes([COMPONENT, 1]) + part.upload(state, self.time), state)

    def change_own(self, state: int) -> None:
        """The device's own state byte."""
        self.state = state
        self._queue(bytes([OWN, 1, state]) + self.time, state)

    def change_system(self, state: int, system: int = 1, address: int = 1) -> None:
        """The state of a facility system."""
        self.systems[system, address] = state
        self._queue(bytes([SYSTEM, 1]) + self._system(system, address), state)

    def change_value(self, key: tuple[int, int, bytes, int], raw: int) -> None:
        """A measured value (see `values`)."""
        self.values[key] = raw
        self._queue(bytes([ANALOGUE, 1]) + self._value(key), 0)

    def step(self, now: float) -> bytes:
        """What is to be sent now: the next upload, a repetition, a heart-beat."""
        out = b""
        if self._press is not None and now >= self._press:
            self._press = None
            self._queue(bytes([OPERATION, 1, DUTY_ANSWER, self.operator]) + self.time, 0)
        if self._open and now >= self._due:
            if self._open.sends >= SENDS:
                self.failed.append(self._open.data)
                self._open = None
            else:
                out += self._send(self._open, now)
        if self._open is None and self._waiting:
            self._open = self._waiting.pop(0)
            self._open.serial = self._next_serial()
            out += self._send(self._open, now)
        if self.heartbeat_s is not None and now >= self._beat:
            self._beat = now + self.heartbeat_s
            out += framed(self._head(self._next_serial().to_bytes(2, "little")), 2)
        return out

    def hung_up(self) -> None:
        """The connection is gone: half of a frame belongs to nobody, and what was not confirmed is sent at once again."""
        self._buffer, self._due = b"", 0.0

    def receive(self, data: bytes, now: float) -> bytes:
        """What is to be sent in answer. Bytes that begin no frame are dropped one by one."""
        out = b""
        self._buffer += data
        while len(self._buffer) >= 30:
            size = 30 + int.from_bytes(self._buffer[24:26], "little")
            frame = self._buffer[:size]
            if not self._buffer.startswith(b"@@") or size > 1054:
                self._buffer = self._buffer[1:]
            elif len(frame) < size:
                break
            else:
                self._buffer = self._buffer[size:]
                out += self._answer(frame, now)
        return out + self.step(now)

    def _answer(self, frame: bytes, now: float) -> bytes:
        head = frame[2:12] + self._head(b"")[-12:]
        command, data = frame[26], frame[27:-3]
        if frame[-2:] != b"##" or sum(frame[2:-3]) % 256 != frame[-3]:
            return framed(head, 6)
        if command in (3, 6):
            self._ended(int.from_bytes(frame[2:4], "little"), command == 3, now)
            return b""
        if command == 4 and (found := self._asked(data)):
            return framed(head, 5, found)
        if command == 1 and len(data) == 3 and data[0] == DUTY_CHECK:
            self.duty_checks.append(data[2])
            pressed = self.duty_after_s is not None and self.duty_after_s <= 60 * data[2]
            self._press = now + self.duty_after_s if pressed and self.duty_after_s is not None else None
            return framed(head, 3)
        if command == 1 and len(data) == 8 and data[0] == SET_CLOCK:
            self.time = data[2:]
            self.clocks.append(self.time)
            return framed(head, 3)
        return framed(head, 6)

    def _asked(self, data: bytes) -> bytes:
        """The answer's data; empty for a question that the device cannot answer."""
        if data[:2] == bytes([READ_OWN, 1]):
            return bytes([OWN, 1, self.state]) + self.time
        for system, address in self.systems:
            if data == bytes([READ_SYSTEM, 1, system, address]):
                return bytes([SYSTEM, 1]) + self._system(system, address)
        values = [key for key in self.values if data == bytes([READ_ANALOGUE, 1, *key[:2]]) + key[2]]
        if values:
            return bytes([ANALOGUE, len(values)]) + b"".join(map(self._value, values))
        for part in self.parts:
            if data == bytes([READ_COMPONENT, 1, part.system, part.system_address]) + part.address:
                return bytes([COMPONENT, 1]) + part.upload(self.states.get(part.address, 1), self.time)
        return b""

    def _system(self, system: int, address: int) -> bytes:
        state = self.systems[system, address]
        return bytes([system, address, state & 0xFF, state >> 8]) + self.time

    def _value(self, key: tuple[int, int, bytes, int]) -> bytes:
        system, address, component, kind = key
        type_ = next((part.type for part in self.parts if part.address == component), 0)
        raw = self.values[key].to_bytes(2, "little", signed=True)
        return bytes([system, address, type_]) + component + bytes([kind]) + raw + self.time

    def _ended(self, serial: int, confirmed: bool, now: float) -> None:
        if self._open is None or self._open.serial != serial:
            return
        if confirmed:
            self.delivered.append(self._open.data)
            self._open = None
        else:
            self._due = now

    def _queue(self, data: bytes, state: int) -> None:
        upload = _Upload(data, bool(state & FIRE))
        ahead = sum(one.urgent for one in self._waiting) if upload.urgent else len(self._waiting)
        self._waiting.insert(ahead, upload)

    def _send(self, upload: _Upload, now: float) -> bytes:
        upload.sends += 1
        self._due = now + ANSWER_S
        return framed(self._head(upload.serial.to_bytes(2, "little")), 2, upload.data)

    def _head(self, serial: bytes) -> bytes:
        return serial + b"\1\1" + self.time + self.address.to_bytes(6, "little") + self.centre.to_bytes(6, "little")

    def _next_serial(self) -> int:
        serial, self._serial = self._serial, (self._serial + 1) % 65536
        return serial
