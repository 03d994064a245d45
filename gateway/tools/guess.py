"""What a register, or two, can mean: every plausible decoding, the ones near to what the instrument's display says first.

int16, uint16 and BCD of one register; int32, uint32, float32 and BCD of two in four byte orders; scales 0.001 to 10. Pure.
A decoding is a guess until a second value of the display agrees: one value fits many, and the shortest way (one register,
no odd order, a round scale) is only the likelier one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple

ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
SCALES = (1.0, 0.1, 0.01, 0.001, 10.0)
TYPES = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}
NEAR = 0.02
"""A decoding within this share of the display's value (or `LAST_DIGIT` of it) is near."""


class Guess(NamedTuple):
    register: int
    type: str
    word_order: str
    """Empty for one register."""
    scale: float
    value: float
    off: float
    """Distance to the display's value."""

    def at(self, table: str) -> dict[str, Any]:
        """What a template says under ``at:``."""
        said: dict[str, Any] = {"table": table, "register": self.register, "type": self.type}
        if self.word_order not in ("", "ABCD"):
            said["word_order"] = self.word_order
        if self.scale != 1:
            said["scale"] = self.scale
        return said


def guesses(first: int, words: Sequence[int], shown: float, digits: int) -> list[Guess]:
    """The decodings near to `shown`, the likeliest first. `first`: the register of the first word; `digits`: decimals that the
    display has: its last one may be rounded or cut."""
    near = max(abs(shown) * NEAR, 1.01 * 10.0**-digits)
    found = [guess for guess in _all(first, words, shown) if guess.off <= near]
    exact = 0.51 * 10.0**-digits
    return sorted(found, key=lambda one: (one.off > exact + 1e-9, _oddity(one), one.off, one.register))


def _oddity(one: Guess) -> tuple[int, int, int]:
    """A float near to the display by chance is rare, an integer common; most devices use the straight orders."""
    order = ("", "ABCD", "CDAB", "BADC", "DCBA").index(one.word_order)
    kind = ("float32", "int16", "uint16", "int32", "uint32", "bcd16", "bcd32").index(one.type)
    return SCALES.index(one.scale) if one.type != "float32" else 0 if one.scale == 1 else 9, kind, order


def _all(first: int, words: Sequence[int], shown: float) -> Iterator[Guess]:
    for place, word in enumerate(words):
        yield from _scaled(first + place, "", word.to_bytes(2, "big"), shown)
        if place + 1 < len(words):
            wire = word.to_bytes(2, "big") + words[place + 1].to_bytes(2, "big")
            for order, places in ORDERS.items():
                yield from _scaled(first + place, order, bytes(wire[at] for at in places), shown)


def _scaled(register: int, order: str, data: bytes, shown: float) -> Iterator[Guess]:
    for kind, raw in _raw(data):
        for scale in SCALES:
            value = raw * scale
            if isfinite(value):
                yield Guess(register, kind, order, scale, float(f"{value:.9g}"), abs(value - shown))


def _raw(data: bytes) -> Iterator[tuple[str, float]]:
    for kind, code in TYPES.items():
        if struct.calcsize(code) == len(data):
            yield kind, struct.unpack(code, data)[0]
    if (digits := data.hex()).isdecimal():
        yield f"bcd{8 * len(data)}", int(digits)


def decimals(shown: str) -> int:
    return len(shown.partition(".")[2])
