"""A fire centre (监控中心) of GB/T 26875.3-2011 on one connection, by the standard and not by the gateway's codec.

It takes uploads of any device and confirms them, or denies them, or keeps silent; it asks for states and values, sets
clocks and checks on duty, and remembers what became of each. Sans-io: bytes in, bytes out; whoever drives it owns the
connection. It repeats nothing: whoever tests a device's repetitions wants to see its silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from firmware_sim.uitd import (
    DUTY_ANSWER,
    DUTY_CHECK,
    OPERATION,
    READ_ANALOGUE,
    READ_COMPONENT,
    READ_OWN,
    READ_SYSTEM,
    SET_CLOCK,
    framed,
)

CONTROL, SEND, CONFIRM, REQUEST, RESPOND, DENY = 1, 2, 3, 4, 5, 6


class Mood(Enum):
    """What it does with an upload."""

    CONFIRM = 3
    DENY = 6
    SILENT = 0


@dataclass(frozen=True, slots=True)
class Upload:
    device: int
    serial: int
    data: bytes
    at: float


@dataclass(slots=True)
class Asked:
    """Something that the centre wanted, and what came back."""

    device: int
    command: int
    data: bytes
    at: float
    answer: int | None = None
    """The command of the answer; None while there is none."""
    answer_data: bytes = b""


@dataclass(slots=True)
class Centre:
    """One centre on one connection."""

    address: int
    time: bytes = bytes.fromhex("00000c150b1a")
    mood: Mood = Mood.CONFIRM
    uploads: list[Upload] = field(default_factory=list)
    """Each once, in order, with what was denied; a repetition is not another one."""
    frames: int = 0
    damaged: int = 0
    asked: dict[int, Asked] = field(default_factory=dict)
    """By serial."""
    _serial: int = 0
    _buffer: bytes = b""

    def receive(self, data: bytes, now: float) -> bytes:
        """What is to be sent in answer."""
        out = b""
        self._buffer += data
        while len(self._buffer) >= 30:
            size = 30 + int.from_bytes(self._buffer[24:26], "little")
            if not self._buffer.startswith(b"@@") or size > 1054:
                self._buffer = self._buffer[1:]
                continue
            if len(self._buffer) < size:
                break
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            out += self._take(frame, now)
        return out

    def read_own(self, device: int, now: float) -> bytes:
        return self.ask(device, REQUEST, bytes([READ_OWN, 1, 0]), now)

    def read_system(self, device: int, system: int, address: int, now: float) -> bytes:
        return self.ask(device, REQUEST, bytes([READ_SYSTEM, 1, system, address]), now)

    def read_component(self, device: int, system: int, address: int, component: bytes, now: float) -> bytes:
        return self.ask(device, REQUEST, bytes([READ_COMPONENT, 1, system, address]) + component, now)

    def read_value(self, device: int, system: int, address: int, component: bytes, now: float) -> bytes:
        return self.ask(device, REQUEST, bytes([READ_ANALOGUE, 1, system, address]) + component, now)

    def set_clock(self, device: int, time: bytes, now: float) -> bytes:
        return self.ask(device, CONTROL, bytes([SET_CLOCK, 1]) + time, now)

    def check_duty(self, device: int, minutes: int, now: float) -> bytes:
        """查岗."""
        return self.ask(device, CONTROL, bytes([DUTY_CHECK, 1, minutes]), now)

    def ask(self, device: int, command: int, data: bytes, now: float) -> bytes:
        """The frame that asks; what comes back is found in `asked`."""
        serial, self._serial = self._serial, (self._serial + 1) % 65536
        self.asked[serial] = Asked(device, command, data, now)
        return framed(serial.to_bytes(2, "little") + self._head(device), command, data)

    def duty_answers(self) -> list[tuple[int, int, float]]:
        """Device, operator and time of each key that was pressed."""
        return [
            (one.device, one.data[3], one.at)
            for one in self.uploads
            if one.data[:1] == bytes([OPERATION]) and one.data[2] & DUTY_ANSWER
        ]

    def _take(self, frame: bytes, now: float) -> bytes:
        self.frames += 1
        serial, device = int.from_bytes(frame[2:4], "little"), int.from_bytes(frame[12:18], "little")
        command, data = frame[26], frame[27:-3]
        reply = frame[2:4] + self._head(device)
        if frame[-2:] != b"##" or sum(frame[2:-3]) % 256 != frame[-3]:
            self.damaged += 1
            return framed(reply, DENY)
        if command in (CONFIRM, RESPOND, DENY):
            if asked := self.asked.get(serial):
                asked.answer, asked.answer_data = command, data
            return b""
        if command != SEND:
            return framed(reply, DENY)
        if data and not any((one.device, one.serial, one.data) == (device, serial, data) for one in self.uploads):
            self.uploads.append(Upload(device, serial, data, now))
        return b"" if self.mood is Mood.SILENT else framed(reply, self.mood.value)

    def _head(self, device: int) -> bytes:
        return b"\1\1" + self.time + self.address.to_bytes(6, "little") + device.to_bytes(6, "little")
