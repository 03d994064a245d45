"""The numbers of a lane: which journal and run it writes, the next sequence, the chain. Lives on the loop.

Guarantees
* A sequence is given once in a run; an id is given once for ever: a run has a random name of its own, and so has a journal
  that is begun in memory.
* A journal that is begun without having seen its file counts from beyond whatever that file may hold, so that both find
  place in one file when it comes back.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.clock import Clock
from gateway.model import Draft, Lane, Record
from gateway.store.content import Birth, Content, Segment
from gateway.store.seal import ZERO, Scribe, seal

_UNKNOWN_BASE = 2**50
"""Beyond any sequence of a file; with the wall time in it, so that the next such journal is beyond this one; below
2^53 (JSON)."""


class Book:
    """Gives the numbers and the seals."""

    def __init__(self, birth: Birth, run: str, clock: Clock) -> None:
        self._clock = clock
        self._birth = birth
        self._scribe = Scribe(birth.gateway, Lane(birth.lane), birth.journal, run, clock.boot)
        self._digest = ZERO
        self.segments: list[Segment] = []
        """The journals of the lane, the current one last."""
        self.last = 0
        """Last sequence given."""

    @property
    def journal(self) -> str:
        return self._scribe.journal

    @property
    def run(self) -> str:
        return self._scribe.run

    def go_on(self, content: Content) -> None:
        """With what the file holds."""
        self.segments = content.segments
        self._scribe = self._scribe._replace(journal=content.segments[-1][1])
        self.last = content.last
        self._digest = content.last_digest or ZERO

    def begin_unseen(self) -> None:
        """A journal in memory, whatever the file holds."""
        self._begin(_UNKNOWN_BASE + (int(self._clock.wall()) << 18))

    def begin_behind(self) -> None:
        """A journal in memory, behind a file that can only be read."""
        self._begin(self.last)

    def _begin(self, base: int) -> None:
        self._scribe = self._scribe._replace(journal=self._birth.journal)
        self.segments = [*(segment for segment in self.segments if segment[0] <= base), (base + 1, self.journal)]
        self.last = base
        self._digest = ZERO

    def enter(self, drafts: Iterable[Draft]) -> list[Record]:
        """The records of `drafts`, numbered, chained and sealed."""
        now, wall, trusted = self._clock.monotonic(), self._clock.wall(), self._clock.trusted()
        records: list[Record] = []
        digest = self._digest
        for sequence, draft in enumerate(drafts, self.last + 1):
            records.append(seal(self._scribe, draft, sequence, wall - now + draft.at, trusted, digest))
            digest = records[-1].digest
        self.last, self._digest = self.last + len(records), digest
        return records
