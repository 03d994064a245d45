"""GB/T 26875.3-2011, a connection's bytes cut into frames, by length only.

Guarantees
* Less than one longest frame (1054 bytes) is kept between two feeds, whatever comes and however slowly.
* Behind garbage, a damaged frame or a length that lies, the search goes on at the next start: a sound frame there is
  found. A sound frame with an unknown command is skipped whole, so that nothing inside it is taken for a frame.
* Nothing is lost in silence: the pieces joined are the bytes that came, each skipped one with its reason.

A length that lies within the limit makes it wait for bytes that never come; the caller calls `give_up` after a time of
its own choice. It is not `drivers.framing.Framer`, since that one cannot say what it dropped: this protocol answers a
damaged frame with a denial (clause 6.5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from drivers.gb26875 import FRAME_BYTES, HEAD_BYTES, START, FrameError, Reason, decode, explain, fault
from drivers.gb26875_dialect import STANDARD, Dialect
from drivers.gb26875_message import Message

_BEGINS = re.compile(rb"@@(?:.{23}[\0-\4]|(?!.{24}))", re.DOTALL)
"""A start, unless the high byte of the length behind it is too large for any: bytes made of starts cost little."""


class Piece(NamedTuple):
    """What a stream gave: a frame, or bytes that were skipped and why."""

    data: bytes
    message: Message | None
    error: FrameError | None = None


class Stream:
    """One connection's bytes to pieces, in order; nothing is lost: the pieces joined are what came."""

    def __init__(self, dialect: Dialect = STANDARD) -> None:
        self._dialect = dialect
        self._kept = b""

    @property
    def incomplete_bytes(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are complete now."""
        return self._cut(self._kept + data, False)

    def give_up(self) -> list[Piece]:
        """What is incomplete will not complete: everything is a piece now, sound frames inside it are found."""
        return self._cut(self._kept, True)

    def _cut(self, rest: bytes, ended: bool) -> list[Piece]:
        pieces: list[Piece] = []
        skipped, at, why = 0, 0, None
        while at < len(rest):
            size = self._size(rest, at, ended)
            if size is None:
                break
            frame = rest[at : at + size]
            reason = fault(frame, self._dialect)
            if reason and reason is not Reason.COMMAND:
                why, at = why or explain(frame, reason, self._dialect), self._next(rest, at)
                continue
            if at > skipped:
                pieces.append(Piece(rest[skipped:at], None, why))
            message = None if reason else decode(frame, self._dialect)
            pieces.append(Piece(frame, message, explain(frame, reason, self._dialect) if reason else None))
            at += size
            skipped, why = at, None
        if at > skipped:
            pieces.append(Piece(rest[skipped:at], None, why))
        self._kept = rest[at:]
        return pieces

    def _next(self, rest: bytes, at: int) -> int:
        """Where the next frame may begin behind `at`: a start, or the first half of one at the very end."""
        found = _BEGINS.search(rest, at + 1)
        if found:
            return found.start()
        return len(rest) - (len(rest) > at + 1 and rest.endswith(START[:1]))

    def _size(self, rest: bytes, at: int, ended: bool) -> int | None:
        """How many bytes to judge at `at`; None when more must come first."""
        here = len(rest) - at
        if not rest.startswith(START[: min(2, here)], at):
            return 1
        size = HEAD_BYTES
        if here >= HEAD_BYTES:
            length = int.from_bytes(rest[at + 24 : at + 26], "little")
            size = FRAME_BYTES + length if length <= self._dialect.longest_data_bytes else HEAD_BYTES
        return min(size, here) if here >= size or ended else None
