"""A BWSENSING BWM826 two-axis inclinometer on an RS-485 line. Pure.

    77 | length | address (2) | command | data | sum        length counts itself up to the sum, the sum is over length..data
    77 05 0000 04 09                                        read both angles
    77 11 0000 84 00020130 10005120 00000000 49             X +2.0130 deg, Y -0.5120 deg; BCD digits S XXX YYYY, S = 1 is minus

Source: the manual's two vectors (standards.md 5.1). That the two bytes between length and command are the address, high
byte first, and that the third number is unused, is read off these vectors. Only the read command is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_sim.fault import Fault, What
from firmware_sim.registers import Value
from firmware_sim.slave import Answer, Heard

READ = 0x04
POINTS = ("x", "y")


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    body = bytes([5 + len(data)]) + address.to_bytes(2) + bytes([command]) + data
    return b"\x77" + body + bytes([sum(body) & 0xFF])


def bcd(degrees: float) -> bytes:
    """S XXX YYYY: eight decimal digits, the first one the sign."""
    digits = f"{'1' if round(degrees, 4) < 0 else '0'}{round(abs(degrees) * 10_000):07d}"
    return bytes.fromhex(digits)


@dataclass(frozen=True, slots=True)
class Inclinometer:
    """One instrument."""

    device: str
    address: int

    def check(self, point: str, value: Value) -> None:
        """ValueError when the instrument cannot say this value."""
        if value is None or not abs(value) < 999.99995:
            raise ValueError(f"{point}: {value} does not fit into the digits XXX.YYYY")

    def hear(self, heard: bytes, values: Mapping[str, Value], fault: Fault) -> Answer | Heard:
        """The answer to one whole frame."""
        if len(heard) < 6 or heard[0] != 0x77 or heard[1] != len(heard) - 1 or sum(heard[1:-1]) & 0xFF != heard[-1]:
            return Heard.NOISE
        if int.from_bytes(heard[2:4]) != self.address or heard[4] != READ or len(heard) != 6:
            return Heard.OTHERS
        angles = [float(values[point] or 0) for point in POINTS]
        speaks_as = self.address + 1 if fault.what is What.FOREIGN else self.address
        data = bcd(angles[0]) + bcd(angles[1]) + bytes(4)
        return Answer(
            self.device,
            frame(speaks_as, READ | 0x80, data),
            {n: round(v, 4) for n, v in zip(POINTS, angles, strict=True)},
        )
