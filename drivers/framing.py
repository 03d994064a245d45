"""Finding frames in a stream of bytes: `feed(bytes) -> frames`, for protocols whose devices speak first.

Guarantees
* What is kept between two feeds is less than one longest frame, whatever comes.
* After garbage, a damaged frame or a length that lies, the search goes on at the next byte: a sound frame behind it is
  found. A frame that never completes is given up by `give_up`, which the caller calls after a time of its own choice.
* The work is bounded by the bytes that came. Bytes made so that a frame seems to begin at every few of them would else
  have the whole of each one checked: 64 KiB of such cost the loop 5 s. Who sends that many lies (`CREDIT_FRAMES` longest
  frames, and `EARNED` bytes for each one sent) has his next ones believed in their length, and skipped.
"""

from __future__ import annotations

from collections.abc import Callable

CREDIT_FRAMES = 16
EARNED = 2


class Framer:
    """One connection's search. `measure` gives the total length of the frame that begins with these bytes, 0 when
    more bytes are needed to say, -1 when no frame begins so; it sees at most `longest` bytes and must decide on fewer.
    A length above `longest` counts as -1. `sound` checks a complete frame.
    """

    def __init__(
        self, start: bytes, measure: Callable[[bytes], int], sound: Callable[[bytes], bool], longest: int
    ) -> None:
        self._start = start
        self._measure = measure
        self._sound = sound
        self._longest = longest
        self._kept = b""
        self._credit_bytes = CREDIT_FRAMES * longest
        """What may still be checked in vain."""
        self.dropped_bytes = 0
        """Bytes that belonged to no sound frame."""

    @property
    def incomplete_bytes(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """The sound frames that are complete now, in order."""
        self._credit_bytes = min(self._credit_bytes + EARNED * len(data), CREDIT_FRAMES * self._longest)
        rest = self._kept + data
        frames: list[bytes] = []
        at = 0
        while True:
            found = self._begin(rest, at)
            self.dropped_bytes += found - at
            at = found
            length = self._measure(rest[at : at + self._longest])
            step = 1
            if length < 0 or length > self._longest:
                pass
            elif length == 0 or len(rest) - at < length:
                self._kept = rest[at:]
                return frames
            elif self._sound(rest[at : at + length]):
                frames.append(rest[at : at + length])
                at += length
                continue
            else:
                self._credit_bytes -= length
                step = 1 if self._credit_bytes > 0 else length
            self.dropped_bytes += step
            at += step

    def give_up(self) -> list[bytes]:
        """The incomplete frame will not complete: drop its first byte and look for whole ones in what is left."""
        rest, self._kept = self._kept[1:], b""
        self.dropped_bytes += 1
        return self.feed(rest)

    def _begin(self, rest: bytes, at: int) -> int:
        """Where a frame may begin, from `at` on: a whole start mark, or the first part of one at the end."""
        found = rest.find(self._start, at)
        if found >= 0:
            return found
        for size in range(min(len(self._start) - 1, len(rest) - at), 0, -1):
            if rest.endswith(self._start[:size]):
                return len(rest) - size
        return len(rest)
