"""What each uplink has settled of one lane. Lives on the loop; the journal writes what changed now and then.

Losing the latest settlements only repeats records (the receiver drops them by id), so nothing waits for their commit.
A position belongs to the journal it was given for: settling up to a sequence never reaches into an older journal of the
same file, whose records may not have been sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from gateway.store.content import Item, Segment, as_json
from gateway.store.ranges import Pair, Ranges, common


class Settlement:
    """Uplink -> the sequences that need not be sent to it any more."""

    def __init__(self, uplinks: dict[str, Ranges], segments: list[Segment]) -> None:
        self._uplinks = uplinks
        self.segments = segments
        """The journals of the lane."""
        self._dirty: set[str] = set()

    @property
    def dirty(self) -> bool:
        return bool(self._dirty)

    def names(self) -> tuple[str, ...]:
        return tuple(self._uplinks)

    def enter(self, uplink: str, oldest: int, void: Iterable[Pair] = ()) -> Ranges:
        """The settled ranges of `uplink`; a new one begins at the oldest record that is kept, without what is `void`."""
        if uplink not in self._uplinks:
            self._uplinks[uplink] = Ranges([(0, oldest - 1), *void])
            self._dirty.add(uplink)
        return self._uplinks[uplink]

    def forget(self, uplink: str) -> None:
        """An uplink that is no more shall keep no record."""
        if self._uplinks.pop(uplink, None) is not None:
            self._dirty.add(uplink)

    def settle(self, uplink: str, sequences: Iterable[int], last: int) -> None:
        """One by one, in any order; a sequence that was never given (beyond `last`) is ignored."""
        settled = self._uplinks[uplink]
        for sequence in sequences:
            if 0 < sequence <= last and sequence not in settled:
                settled.add(sequence, sequence)
                self._dirty.add(uplink)

    def settle_to(self, uplink: str, sequence: int, last: int) -> None:
        """All of this sequence's journal up to it."""
        settled = self._uplinks[uplink]
        if 0 < sequence <= last:
            index = bisect_right(self.segments, (sequence, "\U0010ffff")) - 1
            first = self.segments[index][0] if index > 0 else 0
            if next(settled.missing(first, sequence), None):
                settled.add(first, sequence)
                self._dirty.add(uplink)

    def void(self, pairs: Iterable[Pair]) -> None:
        """Records that will never come, for every uplink."""
        for first, last in pairs:
            for name, settled in self._uplinks.items():
                settled.add(first, last)
                self._dirty.add(name)

    def by_all(self) -> Ranges:
        return common(self._uplinks.values())

    def take(self) -> dict[Item, bytes | None]:
        """What changed since the last time, as items of the file."""
        changed, self._dirty = self._dirty, set()
        return {
            ("uplink", name): as_json(self._uplinks[name].pairs()) if name in self._uplinks else None
            for name in changed
        }

    def touch(self) -> None:
        """Write them all: the file may have lost them."""
        self._dirty.update(self._uplinks)

    def failed(self, items: Iterable[Item]) -> None:
        """What `take` gave did not reach the disk."""
        self._dirty.update(name for space, name in items if space == "uplink")

    def merge(self, there: dict[str, Ranges], beyond: int, oldest: int) -> None:
        """A file that could not be read until now came back: what it knows, and of ours what lies `beyond` it."""
        for name, ours in self._uplinks.items():
            known = there.get(name) or Ranges([(0, oldest - 1)])
            for first, last in ours.pairs():
                known.add(max(first, beyond + 1), last)
            there[name] = known
        self._uplinks = there
        self._dirty.update(there)
