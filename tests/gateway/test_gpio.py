"""GPIO lines by ioctl. No kernel here has a chip (no gpio-sim, no gpio-mockup), so the bytes are held against the layout of
linux/gpio.h as a C compiler gave it (linux-libc-dev 6.1, x86-64), and the calls go to a kernel played from that layout.
"""

import errno
import os
import struct

import pytest

from gateway.annunciator import Line
from gateway.field import gpio

# printf("%zu", sizeof(...)), offsetof(...) and the macros of <linux/gpio.h>, compiled with gcc 12.
RECORDED = {
    "sizeof(gpio_v2_line_request)": 592,
    "consumer": 256,
    "config.flags": 288,
    "config.num_attrs": 296,
    "config.attrs[0].attr.id": 320,
    "config.attrs[0].attr.values": 328,
    "config.attrs[0].mask": 336,
    "num_lines": 560,
    "event_buffer_size": 564,
    "fd": 588,
}
GET_LINE, GET_VALUES, SET_VALUES = 0xC250B407, 0xC010B40E, 0xC010B40F
ACTIVE_LOW, INPUT, OUTPUT, RISING, FALLING = 0x02, 0x04, 0x08, 0x10, 0x20
ATTR_OUTPUT_VALUES, ATTR_DEBOUNCE = 2, 3


class Kernel:
    """One chip, at a file that can be opened; lines are pipes, so that they have a descriptor and can be readable."""

    def __init__(self, path):
        path.touch()
        self.chip = str(path)
        self.lines, self.level, self.stuck, self.asked = {}, {}, set(), []
        self.pipes = []

    def __call__(self, fd, request, buffer):
        self.asked.append(request)
        if request == GET_LINE:
            return self.take(fd, buffer)
        line = self.lines[fd]
        bits, mask = struct.unpack("=QQ", buffer)
        assert mask == 1
        if request == SET_VALUES:
            if line in self.stuck:
                raise OSError(errno.EIO, "I/O error")
            self.level[line] = bits & 1
        else:
            assert request == GET_VALUES
            struct.pack_into("=Q", buffer, 0, self.level[line])
        return 0

    def take(self, fd, buffer):
        assert os.readlink(f"/proc/self/fd/{fd}") == self.chip
        assert len(buffer) == RECORDED["sizeof(gpio_v2_line_request)"]
        line = struct.unpack_from("=I", buffer, 0)[0]
        if line in self.lines.values():
            raise OSError(errno.EBUSY, "busy")
        (flags,) = struct.unpack_from("=Q", buffer, RECORDED["config.flags"])
        number, attribute = (
            struct.unpack_from("=I", buffer, RECORDED[f"config.{at}"])[0] for at in ("num_attrs", "attrs[0].attr.id")
        )
        value, mask = struct.unpack_from("=QQ", buffer, RECORDED["config.attrs[0].attr.values"])
        assert buffer[RECORDED["consumer"] :].startswith(b"gengfu\0")
        assert struct.unpack_from("=II", buffer, RECORDED["num_lines"]) == (1, 0)
        self.config = (flags, number, attribute, value, mask)
        self.level.setdefault(line, 0)
        if flags & OUTPUT:
            self.level[line] = value & 1
        ours, theirs = os.pipe()
        self.pipes.append(theirs)
        self.lines[ours] = line
        struct.pack_into("=i", buffer, RECORDED["fd"], ours)
        return 0

    def edge(self, line, level):
        self.level[line] = level
        fd = next(fd for fd, one in self.lines.items() if one == line)
        os.write(self.pipes[list(self.lines).index(fd)], bytes(48))

    def free(self, pin):
        del self.lines[pin.fd]
        pin.close()


@pytest.fixture
def kernel(tmp_path):
    return Kernel(tmp_path / "gpiochip0")


def test_the_numbers_are_the_kernels():
    assert (gpio.GET_LINE, gpio.GET_VALUES, gpio.SET_VALUES) == (GET_LINE, GET_VALUES, SET_VALUES)


def test_an_output_is_taken_off_and_follows(kernel):
    """Off in the call that takes it: no flicker at the start."""
    pin = gpio.take(Line(kernel.chip, 17), output=True, ioctl=kernel)
    assert kernel.config == (OUTPUT, 1, ATTR_OUTPUT_VALUES, 0, 1)
    assert kernel.level == {17: 0}
    pin.set(True)
    assert kernel.level == {17: 1}
    assert pin.get() is True
    pin.set(False)
    assert pin.get() is False
    pin.close()


def test_an_input_reports_both_edges_debounced(kernel):
    pin = gpio.take(Line(kernel.chip, 4, active_low=True), output=False, ioctl=kernel)
    assert kernel.config == (ACTIVE_LOW | INPUT | RISING | FALLING, 1, ATTR_DEBOUNCE, 20_000, 1)
    with pytest.raises(BlockingIOError):
        pin.drain()
    kernel.edge(4, 1)
    pin.drain()
    assert pin.get() is True
    pin.close()


@pytest.mark.parametrize(("chip", "why"), [("there", "busy"), ("nowhere", "No such file")])
def test_what_the_kernel_refuses_names_chip_and_line(kernel, chip, why):
    gpio.take(Line(kernel.chip, 17), output=True, ioctl=kernel)
    path = kernel.chip if chip == "there" else kernel.chip + "9"
    with pytest.raises(OSError, match=f"line 17: .*{why}") as caught:
        gpio.take(Line(path, 17), output=True, ioctl=kernel)
    assert caught.value.filename == path


def test_a_kernel_that_gives_no_line_is_an_error(kernel):
    with pytest.raises(OSError, match="gave no line"):
        gpio.take(Line(kernel.chip, 17), output=True, ioctl=lambda *_: 0)
