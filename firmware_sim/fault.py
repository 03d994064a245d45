"""What a fault does to an answer: (fault, answer) -> pieces with pauses. Pure.

A fault belongs to a device; ``none`` heals it. Two kinds change what the device says and are its own business
(`FOREIGN`, `EXCEPTION`); the others change what arrives of it and are done here. `ECHO` and `BABBLE` are of the line:
there `firmware_sim.line` sends them unasked; on a TCP stream they come in front of the answer.

`GARBLED` flips one bit unless told otherwise: one flipped bit is seen by every checksum here, the one-byte sum of the
BWM826 included; more bits may pass that one, and then no receiver can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from random import Random


class What(StrEnum):
    NONE = "none"
    SILENT = "silent"
    LATE = "late"
    SHORT = "short"
    GARBLED = "garbled"
    FOREIGN = "foreign"
    EXCEPTION = "exception"
    BABBLE = "babble"
    ECHO = "echo"
    DOUBLE = "double"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a device, and how much."""

    what: What = What.NONE
    after_s: float = 1.0
    """LATE: how much later than usual the answer comes."""
    keep: int | None = None
    """SHORT: how many bytes are left of the answer; None: half of them."""
    bits: int = 1
    """GARBLED: how many bits are flipped."""
    code: int = 4
    """EXCEPTION: the Modbus exception code; 4 = server device failure."""
    every_s: float = 0.05
    """BABBLE on a line: time between two bursts."""
    burst: int = 12
    """BABBLE: bytes a burst."""
    gap_s: float = 0.01
    """DOUBLE: pause before the second copy."""
    pause_s: float = 0.02
    """SLOW: pause between two bytes."""


HEALTHY = Fault()

PARAMETERS: Mapping[What, frozenset[str]] = {
    What.NONE: frozenset(),
    What.SILENT: frozenset(),
    What.LATE: frozenset({"after_s"}),
    What.SHORT: frozenset({"keep"}),
    What.GARBLED: frozenset({"bits"}),
    What.FOREIGN: frozenset(),
    What.EXCEPTION: frozenset({"code"}),
    What.BABBLE: frozenset({"every_s", "burst"}),
    What.ECHO: frozenset(),
    What.DOUBLE: frozenset({"gap_s"}),
    What.SLOW: frozenset({"pause_s"}),
}

INTACT = frozenset({What.NONE, What.BABBLE, What.ECHO, What.DOUBLE, What.SLOW})
"""Under these the right answer still arrives, whatever else does."""

Pieces = list[tuple[float, bytes]]
"""Bytes to send, each with the pause before it in seconds; the first pause counts from when the answer was due."""

MODBUS = frozenset(What)
INSTRUMENT = frozenset(What) - {What.EXCEPTION}
TERMINAL = INSTRUMENT - {What.ECHO}


def parse(said: Mapping[str, object], possible: frozenset[What]) -> Fault:
    """The fault that a scene or command states as ``{what: late, after_s: 2}``; ValueError says what is wrong."""
    name = said.get("what")
    if name not in {str(what) for what in possible}:
        raise ValueError(f"what: {name!r} is none of {', '.join(sorted(possible))}")
    what = What(str(name))
    given = {key: value for key, value in said.items() if key not in ("what", "device")}
    if surplus := given.keys() - PARAMETERS[what]:
        raise ValueError(
            f"{what} takes {', '.join(sorted(PARAMETERS[what])) or 'nothing'}, not {', '.join(sorted(surplus))}"
        )
    whole = {field.name for field in fields(Fault) if "int" in str(field.type)}
    for key, value in given.items():
        kind = int if key in whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or value < 0:
            raise ValueError(f"{key}: {value!r} is not a {'whole ' if key in whole else ''}number of at least 0")
    return Fault(what, **given)  # type: ignore[arg-type]  # names and kinds of `given` were checked just above


def flip(data: bytes, bits: int, random: Random) -> bytes:
    """`data` with `bits` different bits flipped."""
    spoilt = bytearray(data)
    for position in random.sample(range(len(data) * 8), min(bits, len(data) * 8)):
        spoilt[position // 8] ^= 1 << position % 8
    return bytes(spoilt)


def distort(fault: Fault, data: bytes, random: Random) -> Pieces:
    """What arrives of the answer `data` under `fault`."""
    match fault.what:
        case What.SILENT:
            return []
        case What.LATE:
            return [(fault.after_s, data)]
        case What.SHORT:
            return [(0.0, data[: len(data) // 2 if fault.keep is None else fault.keep])]
        case What.GARBLED:
            return [(0.0, flip(data, fault.bits, random))]
        case What.DOUBLE:
            return [(0.0, data), (fault.gap_s, data)]
        case What.SLOW:
            return [(fault.pause_s if index else 0.0, data[index : index + 1]) for index in range(len(data))]
    return [(0.0, data)]


def in_stream(fault: Fault, request: bytes, random: Random) -> bytes:
    """What a stream carries in front of an answer under `ECHO` or `BABBLE`; else nothing."""
    if fault.what is What.ECHO:
        return request
    return random.randbytes(fault.burst) if fault.what is What.BABBLE else b""
