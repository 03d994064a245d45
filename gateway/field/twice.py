"""Two devices that answer for one address: heard as a second whole answer to a request that was answered. Pure.

A line has one master: whoever sends a frame that would be a sound answer to the last answered request (right address,
length and checksum) was asked by it, though it had its answer. So this is proof, of two devices or of a repeater that sends
frames twice; each leaves open whose values they are.

Not proof, and not told: answers that overlap are bad frames like any noise, and two that are the same to the bit and the
moment are one. After a time-out of the address nothing is concluded for `SLOW_S`: the device may only be slow, its late answer
taken for the next one's.
"""

from __future__ import annotations

from drivers.contract import Exchange
from gateway.errors import BusError

Address = int | str

WITHIN_S = 1.0
"""After its answer a request is over; what comes later is something else."""
SLOW_S = 10.0
_LONGEST_BYTES = 600
_GLITCH_BYTES = 2
"""May stand before the frame: the line turns round."""


class Twice:
    """Listens to what comes after an answer."""

    def __init__(self) -> None:
        self._answered: Exchange | None = None
        self._until = 0.0
        self._heard = bytearray()
        self._late: dict[Address, float] = {}

    def answered(self, exchange: Exchange, now: float) -> None:
        self._answered, self._until = exchange, now + WITHIN_S
        if self._heard:
            self._heard.clear()

    def overdue(self, exchange: Exchange, now: float) -> None:
        """It was not answered in time."""
        if exchange.address is not None:
            self._late[exchange.address] = now

    def heard(self, data: bytes, now: float) -> Address | None:
        """Bytes that nobody asked for: the address for which they complete a second answer, or None."""
        exchange = self._answered
        if not data or exchange is None or exchange.address is None or exchange.sound is None:
            return None
        self._heard += data
        if now > self._until or len(self._heard) > _LONGEST_BYTES:
            self._answered = None
        elif now - self._late.get(exchange.address, -SLOW_S) >= SLOW_S and any(
            _answers(exchange, self._heard[start:]) for start in range(_GLITCH_BYTES + 1)
        ):
            self._answered = None  # once a request
            return exchange.address
        return None


def _answers(exchange: Exchange, data: bytearray) -> bool:
    try:
        length = exchange.framing(data) if data else 0
    except BusError:
        return False
    return 0 < length <= len(data) and exchange.sound is not None and exchange.sound(bytes(data[:length]))
