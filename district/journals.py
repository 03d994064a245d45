"""Which numbers of each journal are here: `district.sequence` on the disk, inside the store's transaction.

Guarantees
* What is in memory is what was committed: after a failed transaction it is forgotten and read again.
* Open holes stand in `gap` from the transaction that noticed them; those that were named or passed over stay there as
  history (the newest `MOST_CLOSED`).

Memory: the journals last seen, up to `MOST_HOLES` holes in all.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from district.record import TELEMETRY
from district.schema import PRUNE_GAPS
from district.sequence import Closed, How, Naming, Track

MOST_CLOSED = 100_000
MOST_HOLES = 200_000

Key = tuple[str, str, str]
"""Gateway, lane, journal."""
Hole = tuple[int, int]


class Position(NamedTuple):
    """A telemetry journal's position after a commit."""

    gateway: str
    journal: str
    position: int
    jumped: bool
    """A hole before it was filled, named or passed over: the gateway waits for this."""


class Journal:
    """One journal, and what the batch under way does to it."""

    __slots__ = ("before", "duplicates", "last_at", "ordinal", "position", "records", "track")

    def __init__(self, ordinal: int, track: Track) -> None:
        self.ordinal = ordinal
        self.track = track
        self.begin()

    def begin(self) -> None:
        self.before: list[Hole] = self.track.holes
        self.position = self.track.position
        self.records = 0
        self.duplicates = 0
        self.last_at = 0.0


class Journals:
    """All of them; `touch`, then `save`, then `end`, once a transaction."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._known: OrderedDict[Key, Journal] = OrderedDict()
        self._touched: dict[Key, Journal] = {}

    def touch(self, gateway: str, lane: str, journal: str, at: float) -> Journal:
        """The journal of a record that came `at`; a new one begins with nothing."""
        key = (gateway, lane, journal)
        one = self._touched.get(key)
        if one is None:
            one = self._known.get(key) or self._read(key, at)
            one.begin()
            self._touched[key] = self._known[key] = one
            self._known.move_to_end(key)
        one.last_at = at
        return one

    def save(self) -> list[Position]:
        """Write what changed; the telemetry positions, which may be receipted after the commit."""
        positions = []
        for key, one in self._touched.items():
            closed = one.track.take_closed()
            self._save_gaps(key, one, closed)
            self._db.execute(
                "UPDATE journal SET highest = ?, position = ?, namings = ?, records = records + ?, "
                "duplicates = duplicates + ?, last_at = ? WHERE ordinal = ?",
                (
                    one.track.highest, one.track.position, json.dumps(one.track.namings), one.records, one.duplicates,
                    round(one.last_at, 3), one.ordinal,
                ),
            )  # fmt: skip
            gateway, lane, journal = key
            if lane == TELEMETRY:
                jumped = bool(closed) and one.track.position > one.position
                positions.append(Position(gateway, journal, one.track.position, jumped))
        return positions

    def end(self, committed: bool) -> None:
        """After the transaction: forget all that was rolled back, or the journals not seen for longest."""
        self._touched = {}
        if not committed:
            self._known.clear()
        holes = sum(1 + len(one.track) for one in self._known.values())
        while holes > MOST_HOLES and len(self._known) > 1:
            _, one = self._known.popitem(last=False)
            holes -= 1 + len(one.track)

    def _read(self, key: Key, at: float) -> Journal:
        row: Any = self._db.execute(
            "SELECT ordinal, highest, namings FROM journal WHERE gateway = ? AND lane = ? AND journal = ?", key
        ).fetchone()
        if row is None:
            moment = round(at, 3)
            self._db.execute(
                "INSERT INTO journal VALUES(NULL, ?, ?, ?, 0, 0, '[]', 0, 0, ?, ?)", (*key, moment, moment)
            )
            return Journal(self._db.last_insert_rowid(), Track())
        holes: list[Any] = self._db.execute(
            "SELECT first, last FROM gap WHERE gateway = ? AND lane = ? AND journal = ? AND state = 'open'", key
        ).fetchall()
        return Journal(row[0], Track(row[1], holes, [Naming(*naming) for naming in json.loads(row[2])]))

    def _save_gaps(self, key: Key, one: Journal, closed: Sequence[Closed]) -> None:
        """Replace the open holes that changed; what is left of one keeps the moment at which it was noticed."""
        after = one.track.holes
        if not closed and after == one.before:
            return
        gone, new = sorted(set(one.before).difference(after)), sorted(set(after).difference(one.before))
        noticed = [self._remove(key, hole) for hole in gone]
        now = round(one.last_at, 3)
        rows: list[tuple[Any, ...]] = [
            (*key, *hole, "open", _noticed(hole, gone, noticed) or now, None) for hole in new
        ]
        for first, last, how in closed:
            since = _noticed((first, last), gone, noticed)
            if since is not None or how is not How.FILLED:  # else it only came out of order: it was never missing
                rows.append((*key, first, last, how.value, since or now, now))
        self._db.executemany("INSERT INTO gap VALUES(?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if closed:
            self._db.execute(PRUNE_GAPS, (MOST_CLOSED,))

    def _remove(self, key: Key, hole: Hole) -> float:
        noticed: Any = self._db.execute(
            "DELETE FROM gap WHERE gateway = ? AND lane = ? AND journal = ? AND state = 'open' AND first = ? "
            "RETURNING noticed_at",
            (*key, hole[0]),
        ).get
        return float(noticed)


def _noticed(hole: Hole, gone: Sequence[Hole], noticed: Sequence[float]) -> float | None:
    """When the removed hole that `hole` begins in was noticed; None when there was none."""
    index = bisect_right(gone, (hole[0], 2**63)) - 1
    return noticed[index] if index >= 0 and gone[index][1] >= hole[0] else None
