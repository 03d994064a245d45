"""Lines of a GPIO chip through the kernel's character device (linux/gpio.h, uAPI v2): one lamp, sounder or key each.

Guarantees
* A line is taken for its purpose alone: an output begins off, in the same call that takes it; an input reports its edges,
  debounced by the kernel where the chip can, and is read when one comes.
* Only these ioctls: take a line, read its value, set its value. No library, no sysfs.
* What the kernel refuses is an OSError that names chip and line.

When this process ends, however it ends, the kernel gives the line back. What the pin does then is the chip's: it may keep
its level or become an input. A resistor that pulls the output to its quiet state is what makes it fail to off.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable

from gateway.annunciator import Line

CONSUMER = b"gengfu"
DEBOUNCE_US = 20_000
NAME_BYTES = 32
LINES_MAX = 64
ATTRIBUTES_MAX = 10
EVENT_BYTES = 48

ACTIVE_LOW, INPUT, OUTPUT, EDGE_RISING, EDGE_FALLING = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
OUTPUT_VALUES, DEBOUNCE = 2, 3
"""Attributes of a line's configuration."""

_ATTRIBUTE = struct.Struct("=IIQQ")  # id, padding, flags | values | debounce_period_us, mask
_CONFIG_BYTES = 8 + 4 + 5 * 4 + ATTRIBUTES_MAX * _ATTRIBUTE.size
_VALUES = struct.Struct("=QQ")  # bits, mask
REQUEST_BYTES = 4 * LINES_MAX + NAME_BYTES + _CONFIG_BYTES + 4 + 4 + 5 * 4 + 4


def _iowr(number: int, size: int) -> int:
    """_IOWR(0xB4, number, ...) of asm-generic/ioctl.h: x86, ARM and RISC-V."""
    return 3 << 30 | size << 16 | 0xB4 << 8 | number


GET_LINE = _iowr(0x07, REQUEST_BYTES)
GET_VALUES = _iowr(0x0E, _VALUES.size)
SET_VALUES = _iowr(0x0F, _VALUES.size)

Ioctl = Callable[[int, int, bytearray], object]
"""`fcntl.ioctl` on a buffer that the kernel changes; tests hand in a kernel of their own."""


def request(line: int, flags: int, attribute: tuple[int, int]) -> bytearray:
    """struct gpio_v2_line_request for one line; `attribute`: id and value of the only one."""
    given = _ATTRIBUTE.pack(attribute[0], 0, attribute[1], 1).ljust(ATTRIBUTES_MAX * _ATTRIBUTE.size, b"\0")
    config = struct.pack("=QI20x", flags, 1) + given
    offsets = struct.pack("=I", line).ljust(4 * LINES_MAX, b"\0")
    tail = struct.pack("=II20xi", 1, 0, -1)  # num_lines, event_buffer_size, fd
    return bytearray(offsets + CONSUMER.ljust(NAME_BYTES, b"\0") + config + tail)


class Pin:
    """A line that was taken. `fd` is readable when an input's edge is there."""

    def __init__(self, fd: int, ioctl: Ioctl) -> None:
        self.fd = fd
        self._ioctl = ioctl

    def get(self) -> bool:
        """Active or not; also what an output's pin is set to."""
        values = bytearray(_VALUES.pack(0, 1))
        self._ioctl(self.fd, GET_VALUES, values)
        bits: int = _VALUES.unpack(values)[0]
        return bool(bits & 1)

    def set(self, active: bool) -> None:
        self._ioctl(self.fd, SET_VALUES, bytearray(_VALUES.pack(int(active), 1)))

    def drain(self) -> None:
        """Forget the edges that came: the level says what counts."""
        os.read(self.fd, 16 * EVENT_BYTES)

    def close(self) -> None:
        os.close(self.fd)


def take(line: Line, *, output: bool, ioctl: Ioctl = fcntl.ioctl) -> Pin:
    """Take a line as an output that is off, or as an input. Raises OSError: no such chip, no right, line in use."""
    flags = ACTIVE_LOW if line.active_low else 0
    if output:
        asked = request(line.line, flags | OUTPUT, (OUTPUT_VALUES, 0))
    else:
        asked = request(line.line, flags | INPUT | EDGE_RISING | EDGE_FALLING, (DEBOUNCE, DEBOUNCE_US))
    try:
        chip = os.open(line.chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            ioctl(chip, GET_LINE, asked)
        finally:
            os.close(chip)
    except OSError as error:
        raise OSError(error.errno, f"line {line.line}: {os.strerror(error.errno or 0)}", line.chip) from error
    fd: int = struct.unpack("=i", asked[-4:])[0]
    if fd < 0:
        raise OSError(0, f"line {line.line}: the kernel gave no line", line.chip)
    os.set_blocking(fd, False)
    return Pin(fd, ioctl)
