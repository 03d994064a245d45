"""A line to play with: a scripted slave on a real pseudo terminal or socket, and a small driver that talks to it.

The protocol is Modbus in shape (same-shaped answers for every register, so that a wrong one cannot be seen in the frame):
request ``address 3 register:2 0 1 sum:2``, reply ``address 3 2 value:2 sum:2``; the slave answers each register with its
own number, so a test knows at once whose answer it got.
"""

import asyncio
import os
import tty
from itertools import pairwise

from drivers.contract import Exchange
from gateway.errors import BusError
from gateway.model import BusKind, BusSpec, Quality, Scan

REQUEST_BYTES = 8
REPLY_BYTES = 7


def checked(body):
    return body + (sum(body) & 0xFFFF).to_bytes(2, "big")


def request(register, address=1):
    return checked(bytes([address, 3]) + register.to_bytes(2, "big") + b"\x00\x01")


def reply(register, address=1):
    return checked(bytes([address, 3, 2]) + register.to_bytes(2, "big"))


def register_of(asked):
    return int.from_bytes(asked[2:4], "big")


def framing(address):
    def length(data):
        if data[0] != address or (len(data) > 1 and data[1] != 3):
            raise BusError(Quality.BAD_FRAME, "foreign")
        return 5 if len(data) < 3 else 5 + data[2]

    return length


def is_sound(frame):
    return checked(frame[:-2]) == frame


def ask(*registers, address=1, timeout_s=None, settle_s=0.0, device="d"):
    """A poll that reads the registers one by one; its scan's values are what came back."""
    values, at = [], 0.0
    for register in registers:
        answer = yield Exchange(
            request(register, address), framing(address), None, timeout_s, settle_s, address, is_sound
        )
        if len(answer.data) != REPLY_BYTES or checked(answer.data[:-2]) != answer.data:
            raise BusError(Quality.BAD_FRAME, "checksum")
        values.append(int.from_bytes(answer.data[3:5], "big"))
        at = answer.at
    return Scan(device, 0, at, tuple(values), bytes(len(values)))


class Slave:
    """The other end of a pty; `script(request)` returns what it does: a list of (pause in s, bytes)."""

    def __init__(self, script=None):
        self.script = script or (lambda asked: [(0.002, reply(register_of(asked)))])
        self.requests = []
        self.times = []
        self.late_s = 0.0
        """At most: how much later than the script wanted it said something, a machine being busy."""
        self._ends = []
        self._pending = bytearray()
        self.plug()

    def plug(self):
        self.ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(self.ours, False)
        self.path = os.ttyname(theirs)
        self.theirs = theirs
        self._pending.clear()
        asyncio.get_running_loop().add_reader(self.ours, self._readable)

    def pull(self):
        """The adapter goes: the gateway's end sees a hang-up."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.ours)
        os.close(self.ours)
        os.close(self.theirs)
        self.ours = -1

    def spec(self, **more):
        settings = {"baud": 115200, "reply_timeout_s": 0.1} | more
        return BusSpec("line", BusKind.SERIAL, port=settings.pop("port", self.path), **settings)

    def say(self, data):
        if self.ours >= 0:
            os.write(self.ours, data)

    def close(self):
        if self.ours >= 0:
            self.pull()

    def gaps(self):
        return [later - earlier for earlier, later in pairwise(self.times)]

    def _readable(self):
        loop = asyncio.get_running_loop()
        self._pending += os.read(self.ours, 4096)
        while len(self._pending) >= REQUEST_BYTES:
            asked = bytes(self._pending[:REQUEST_BYTES])
            del self._pending[:REQUEST_BYTES]
            self.requests.append(asked)
            self.times.append(loop.time())
            at = loop.time()
            for pause_s, data in self.script(asked):
                at += pause_s
                loop.call_at(at, self._say_at, at, data)

    def _say_at(self, at, data):
        self.late_s = max(self.late_s, asyncio.get_running_loop().time() - at)
        self.say(data)
