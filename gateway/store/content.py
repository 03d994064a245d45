"""What the file of one lane holds: its two tables, small items each under a CRC, and what was found of it when it was opened.

Guarantee: every small item (own facts, engine state, positions) carries a CRC; one that fails is left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import apsw

from gateway.store.ranges import Pair, Ranges

APPLICATION_ID = 0x47454E47  # "GENG"
VERSION = 1
SCHEMA = """
CREATE TABLE record(
  sequence INTEGER PRIMARY KEY, journal TEXT NOT NULL, run TEXT NOT NULL, kind TEXT NOT NULL, boot TEXT NOT NULL,
  at REAL NOT NULL, wall REAL NOT NULL, trusted INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
  previous BLOB NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE TABLE item(
  space TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(space, key)
) STRICT, WITHOUT ROWID;
"""
Item = tuple[str, str]
"""Space (``own``, ``state``, ``uplink``) and key."""
Segment = tuple[int, str]
"""First sequence and id of a journal."""


class Birth(NamedTuple):
    """What a new file is made with."""

    gateway: str
    lane: str
    journal: str
    boot: str


@dataclass(slots=True)
class Content:
    """What a file holds."""

    fresh: bool
    """Made just now."""
    writable: bool = False
    checked: bool = False
    """quick_check came to its end within its time."""
    why: str = ""
    """Why it is not writable."""
    previous_boot: str = ""
    segments: list[Segment] = field(default_factory=list)
    """The journals in the file, the current one last."""
    state: dict[str, bytes] = field(default_factory=dict)
    uplinks: dict[str, Ranges] = field(default_factory=dict)
    gone: Ranges = field(default_factory=Ranges)
    damaged_items: int = 0
    first: int = 0
    last: int = 0
    """Lowest sequence of the rows, 0 without any; the highest one that was given, also to what is gone."""
    last_digest: str = ""
    """Alarm lane: of the record `last`."""
    damaged_end: Pair | None = None
    """Rows behind the last sound one that could not be trusted; they are taken out."""
    set_aside: Path | None = None


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """All of it or nothing; after the block it is on the disk (synchronous=FULL)."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            with suppress(apsw.Error):  # the error that led here is the one to tell
                db.execute("ROLLBACK")


def put(db: apsw.Connection, item: Item, value: bytes | None) -> None:
    """Insert or replace; None deletes."""
    if value is None:
        db.execute("DELETE FROM item WHERE space = ? AND key = ?", item)
        return
    crc = crc32(b"\n".join((item[0].encode(), item[1].encode(), value)))
    db.execute("INSERT OR REPLACE INTO item VALUES(?, ?, ?, ?)", (*item, value, crc))


def as_json(pairs: object) -> bytes:
    return json.dumps(pairs, separators=(",", ":")).encode()


def join(there: Sequence[Segment], last: int, ours: Sequence[Segment]) -> list[Segment]:
    """The journals of a file that holds sequences up to `last`, when those of `ours` go on in it."""
    joined = [segment for segment in there if segment[0] <= last]
    ends = [first - 1 for first, _ in ours[1:]]
    for (first, journal), end in zip_longest(ours, ends):
        if (end is None or end > last) and (not joined or joined[-1][1] != journal):
            joined.append((max(first, last + 1), journal))
    return joined


def read_items(db: apsw.Connection, content: Content) -> dict[str, bytes]:
    """State and positions into `content`; returns the file's own facts."""
    own: dict[str, bytes] = {}
    for space, key, value, crc in db.execute(
        "SELECT CAST(space AS BLOB), CAST(key AS BLOB), CAST(value AS BLOB), CAST(crc AS INTEGER) FROM item"
    ):
        if crc != crc32(b"\n".join((space or b"", key or b"", value or b""))):
            content.damaged_items += 1
        elif space == b"state":
            content.state[key.decode()] = value
        elif space == b"uplink":
            content.uplinks[key.decode()] = Ranges(json.loads(value))
        else:
            own[key.decode()] = value
    return own
