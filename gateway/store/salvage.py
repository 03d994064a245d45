"""What can be saved around a damaged page: rows that can be deleted, and what a new file takes over from a damaged one.

Guarantees
* `delete` deletes all rows but those that no longer can be, and names these; the file stays as sound as it was.
* `carry` is part of the transaction that makes the new file: all of it or none of it, also when the power fails.
* Only what proves itself is carried: records of the alarm lane whose CRC and digest hold and that no uplink has
  confirmed to be settled everywhere, with their ids; and small items whose CRC holds, of the same gateway and lane.
* It ends after `BUDGET_S`; what it did not reach stays in the file that was set aside.

Telemetry is not carried: it may be half a gigabyte, on a disk that holds the damaged file too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw

from gateway.model import Lane, Record
from gateway.store import open as journal_open
from gateway.store.content import Birth, Content, Item, Segment, as_json, put, read_items
from gateway.store.open import DAMAGE
from gateway.store.ranges import Pair, Ranges, common
from gateway.store.rows import INSERT, Rows, as_row

BUDGET_S = 3.0
_PROBES = 5_000
"""Numbers in a row that cannot be read before the rest of the file is given up."""
_UNREADABLE = (*DAMAGE, apsw.TooBigError, apsw.NoMemError)
_DELETE = "DELETE FROM record WHERE sequence = ?"


def delete(db: apsw.Connection, sequences: Sequence[int]) -> list[int]:
    """Inside a transaction; returns those that stay, since their page or the one beside it is damaged."""
    try:
        with db:
            db.executemany(_DELETE, ((sequence,) for sequence in sequences))
    except DAMAGE:
        return [sequence for sequence in sequences if not _deleted(db, sequence)]
    return []


def _deleted(db: apsw.Connection, sequence: int) -> bool:
    try:
        with db:
            db.execute(_DELETE, (sequence,))
    except DAMAGE:
        return False
    return True


def outside(pairs: Sequence[Pair], stuck: Ranges) -> tuple[Pair, ...]:
    """The parts of `pairs` that can be deleted, as far as is known."""
    return tuple(part for pair in pairs for part in stuck.missing(*pair))


def carry(db: apsw.Connection, aside: Path | None, birth: Birth, before: int, monotonic: Callable[[], float]) -> None:
    """Into the new, still empty file, what the damaged one still has; only numbers below `before`."""
    if aside is None or birth.lane != Lane.ALARM:
        return
    deadline = monotonic() + BUDGET_S
    try:
        old = journal_open.connect_to_read(aside)
    except (apsw.Error, OSError):
        return  # nothing of it can be read
    try:
        items, facts = _items(old, birth)
        settled = common(facts.uplinks.values())
        last, journals = 0, list[Segment]()
        for record in _records(old, birth, before, lambda: monotonic() > deadline):
            last = record.sequence
            if not journals or journals[-1][1] != record.journal:
                journals.append((last, record.journal))
            if last not in settled:
                db.execute(INSERT, as_row(record))
    finally:
        old.close()
    segments = [segment for segment in facts.segments or journals if segment[0] <= last]
    if not segments or segments[-1][1] != birth.journal:
        segments.append((last + 1, birth.journal))
    gone = facts.gone.copy()
    for first, end in settled.within(1, last):
        gone.add(first, end)
    own = {"gateway": birth.gateway.encode(), "lane": birth.lane.encode(), "segments": as_json(segments)}
    items.update({("own", key): value for key, value in own.items()})
    items["own", "gone"] = as_json(tuple(gone.within(1, last)))
    for item, value in items.items():
        put(db, item, value)


def _items(old: apsw.Connection, birth: Birth) -> tuple[dict[Item, bytes], Content]:
    """State and positions to keep, and what they say; nothing when the file does not prove whose it is."""
    facts = Content(fresh=False)
    try:
        own = read_items(old, facts)
    except (apsw.Error, ValueError):  # half of them may be there: a state without its neighbours is no state
        return {}, Content(fresh=False)
    if own.get("gateway") != birth.gateway.encode() or own.get("lane") != birth.lane.encode():
        return {}, Content(fresh=False)
    if "segments" in own:
        facts.segments = [(first, journal) for first, journal in json.loads(own["segments"])]
    facts.gone = Ranges((first, last) for first, last in json.loads(own.get("gone", b"[]")))
    items: dict[Item, bytes] = {("state", key): value for key, value in facts.state.items()}
    items.update({("uplink", name): as_json(settled.pairs()) for name, settled in facts.uplinks.items()})
    return items, facts


def _records(old: apsw.Connection, birth: Birth, before: int, over: Callable[[], bool]) -> Iterator[Record]:
    """The sound records in order; what cannot be read is stepped over, number by number."""
    rows = Rows(old, birth.gateway, Lane(birth.lane), Ranges(), before - 1)
    cursor = failed = 0
    while failed < _PROBES and not over():
        try:
            for record in rows.behind(cursor):
                if over():
                    return
                if record is not None and record.sequence > cursor:
                    cursor, failed = record.sequence, 0
                    yield record
            return
        except _UNREADABLE:
            cursor, failed = cursor + 1, failed + 1
        except apsw.Error:  # the disk itself
            return
