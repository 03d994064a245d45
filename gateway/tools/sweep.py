"""The scan of one line at one speed, as a generator of asks without a clock: who answers, who twice, who late, what noise.

How long to wait for a silent address decides how long a scan takes. The trade-off
* The first wait is `FIRST_S` after the request has left; once devices answered it follows them (`FACTOR` times the slowest,
  between `SHORTEST_S` and `LONGEST_S`), so that 244 silent addresses of 247 cost little more than their requests.
* A device slower than that is not lost: its late answer falls into the time of a later address, where it is heard as a
  frame or as stray bytes. All that were asked within `LATE_S` before are then asked again and waited for `LATE_S`.
* It is missed only if its whole answer falls into a request of ours (our own transmitter is deaf): some percent of the
  devices that are that slow. `thorough` waits `LATE_S` for everybody, and asks with function 4, too.

Each that answered is asked `REPEATS` times more and listened to after its answer: a second frame, or answers that are
damaged now and then while others' are not, is what two devices on one address look like.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.modbus_reads import IDENTIFY, find_reply, identity, pdu_of, rtu_frame, tcp_frame
from gateway.errors import BusError

FIRST_S = 0.06
SHORTEST_S = 0.03
LONGEST_S = 0.25
FACTOR = 2.5
LATE_S = 0.6
REPEATS = 3
READ_ONE = b"\x03\x00\x00\x00\x01"
READ_INPUT = b"\x04\x00\x00\x00\x01"


class Ask(NamedTuple):
    unit: int
    request: bytes
    """Empty: only listen."""
    timeout_s: float
    listen_s: float
    """How long to listen on after the answer."""
    done: int
    of: int


class Heard(NamedTuple):
    data: bytes
    """All that came, an echo and noise included."""
    after_s: float
    """From the end of the request to the first byte; 0 when nothing came."""


@dataclass(slots=True)
class Found:
    """An address that answers."""

    unit: int
    after_s: float
    answers: int = 1
    spoilt: int = 0
    """Tries in which bytes came, but no sound answer."""
    double: int = 0
    """Tries in which a second answer came."""
    refusal: int = 0
    """Exception code of its first answer."""
    identity: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    found: dict[int, Found] = field(default_factory=dict)
    suspects: set[int] = field(default_factory=set)
    """Bytes came when they were asked, again and again, and never a sound answer."""
    asked: int = 0
    noisy: int = 0
    """Asks in which something was heard that answers nothing."""
    echo: bool = False
    wait_s: float = FIRST_S


class Sweep:
    """One sweep; `run` is the generator. `rtu`: serial frames, else Modbus TCP."""

    def __init__(self, units: Sequence[int], *, rtu: bool, thorough: bool = False, first_s: float = FIRST_S) -> None:
        self.result = Result(wait_s=LATE_S if thorough else first_s)
        self._units = units
        self._rtu = rtu
        self._thorough = thorough
        self._transaction = 0
        self._recent: list[tuple[int, float]] = []
        self._again: dict[int, None] = {}

    def run(self) -> Generator[Ask, Heard, Result]:
        result, of = self.result, len(self._units)
        for number, unit in enumerate(self._units):
            yield from self._try(unit, READ_ONE, result.wait_s, number, of)
            if self._thorough and unit not in result.found:
                yield from self._try(unit, READ_INPUT, LATE_S, number, of)
        heard = yield Ask(0, b"", LATE_S, 0.0, of, of)  # the last ones may be slow, too
        if heard.data:
            self._heard_somebody()
        again = [unit for unit in self._again if unit not in result.found]
        for number, unit in enumerate(again):
            for _ in range(REPEATS):
                before = result.noisy
                if (yield from self._try(unit, READ_ONE, LATE_S, of + number, of + len(again))):
                    result.suspects.discard(unit)
                    break
                if result.noisy == before:
                    break
                result.suspects.add(unit)
        of += len(again)
        for number, unit in enumerate(list(result.found)):
            yield from self._confirm(result.found[unit], of + number, of + len(result.found))
        return result

    def _try(self, unit: int, pdu: bytes, wait_s: float, done: int, of: int) -> Generator[Ask, Heard, bool]:
        result = self.result
        heard, request = yield from self._ask(unit, pdu, wait_s, 0.0, done, of)
        result.asked += 1
        self._recent = [(one, age_s + wait_s) for one, age_s in self._recent if age_s < LATE_S]
        self._recent.append((unit, 0.0))
        pdu_back = self._reply(request, heard.data)
        if pdu_back is not None:
            refusal = pdu_back[1] if pdu_back[0] & 0x80 else 0
            if refusal in (0x0A, 0x0B):  # a gateway on the way says that nobody is there
                return False
            result.found[unit] = Found(unit, heard.after_s, refusal=refusal)
            if not self._thorough:
                slowest_s = max(one.after_s for one in result.found.values())
                result.wait_s = min(LONGEST_S, max(SHORTEST_S, FACTOR * slowest_s))
            return True
        if heard.data.removeprefix(request):
            self._heard_somebody()
        return False

    def _heard_somebody(self) -> None:
        """Bytes that answer nothing: one of those asked lately may be slow."""
        self.result.noisy += 1
        self._again.update(dict.fromkeys(one for one, _ in self._recent if one not in self.result.found))

    def _ask(
        self, unit: int, pdu: bytes, wait_s: float, listen_s: float, done: int, of: int
    ) -> Generator[Ask, Heard, tuple[Heard, bytes]]:
        self._transaction = self._transaction % 0xFFFF + 1
        request = rtu_frame(unit, pdu) if self._rtu else tcp_frame(self._transaction, unit, pdu)
        heard = yield Ask(unit, request, wait_s, listen_s, done, of)
        self.result.echo |= self._rtu and heard.data.startswith(request)
        return heard, request

    def _reply(self, request: bytes, data: bytes) -> bytes | None:
        """The PDU of the answer inside what was heard."""
        if self._rtu:
            hit = find_reply(request, data)
            return hit[0][1:-2] if hit else None
        try:
            return pdu_of(request, data, rtu=False)
        except BusError:
            return None

    def _confirm(self, one: Found, done: int, of: int) -> Generator[Ask, Heard, None]:
        wait_s = max(self.result.wait_s, 2 * one.after_s)
        for _ in range(REPEATS):
            heard, request = yield from self._ask(one.unit, READ_ONE, wait_s, wait_s, done, of)
            hit = find_reply(request, heard.data) if self._rtu else None
            if self._reply(request, heard.data) is not None:
                one.answers += 1
                one.double += hit is not None and find_reply(request, heard.data[hit[1] :]) is not None
            elif heard.data:
                one.spoilt += 1
        heard, request = yield from self._ask(one.unit, IDENTIFY, wait_s, 0.0, done, of)
        one.identity = identity(self._reply(request, heard.data) or b"")


def twice(one: Found, others: Sequence[Found]) -> str:
    """``yes``: a second answer came each time; ``perhaps``: now and then, or damaged answers while others' are sound."""
    if one.double == REPEATS:
        return "yes"
    clean = any(not other.spoilt for other in others if other is not one)
    return "perhaps" if one.double or (one.spoilt and clean) else ""


def least_s(silent: int, answering: int, character_s: float, wait_s: float, after_s: float) -> float:
    """The least time in which this many can be asked once: request and wait for a silent one; request, turnaround and the
    7 characters of the answer for another, and T3.5 between two frames."""
    silence_s = max(3.5 * character_s, 0.00175)
    return silent * (8 * character_s + wait_s) + answering * (15 * character_s + after_s + silence_s)
