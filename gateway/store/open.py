"""Opening the SQLite file of one lane: connect, check, create; a damaged one is set aside. Runs on the lane's own thread.

Guarantees
* One connection, held under SQLite's exclusive lock: a second process is refused, and the index of the write-ahead log
  lives in the heap (no shared-memory file, no mmap, so a full disk cannot kill the process).
* WAL with synchronous=FULL: a commit has returned only after its fdatasync. A new file's directory is synced too.
* What was left in the log without knowing whether it reached the disk is made durable here, before anything is built upon
  it: the log is written and synced anew, then taken into the database.
* A damaged file (header, quick_check within its time budget, its own facts missing) raises `Damaged`; `set_aside` moves it.
  Whoever removes a journal file by hand removes the ones beside it, too: a new one takes over from the newest of them.
  A file that only cannot be written is opened to be read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import apsw

from gateway.store.content import (
    APPLICATION_ID,
    SCHEMA,
    VERSION,
    Birth,
    Content,
    Item,
    as_json,
    put,
    read_items,
    transaction,
)
from gateway.store.ranges import Pair, Ranges

LARGEST_BYTES = 16 * 1024 * 1024
"""No record or item is larger: a damaged length must not make SQLite allocate gigabytes."""
WAL_BYTES = 4 * 1024 * 1024
_RENEW_BYTES = 64 * 1024
"""SQLite's own writes are below 128 KiB: it takes no more at once."""
KEPT_ASIDE = 2
"""Damaged files kept beside the good one; older ones go, or a bad card would fill the disk with them."""
SUFFIXES = ("", "-wal", "-shm", "-journal")


class Damaged(Exception):
    """The file is not what it should be. Reaction: `JournalFile` sets it aside and makes a new one."""


DAMAGE = (Damaged, apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SQLError, apsw.MismatchError)
"""What tells that the file is damaged, not the disk: a flipped letter of the schema is an SQL error, too."""


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def newest_aside(path: Path) -> Path | None:
    """The file that was set aside last."""
    found = [one for one in path.parent.glob(f"{path.name}.broken-*") if not one.name.endswith(SUFFIXES[1:])]
    return max(found, key=lambda one: one.stat().st_ctime_ns, default=None)


def move(path: Path, target: Path, suffixes: Sequence[str]) -> None:
    """Rename those of the files that there are, one after the other; the folder is not synced."""
    for suffix in suffixes:
        part, place = path.with_name(path.name + suffix), target.with_name(target.name + suffix)
        if part.exists() and not place.exists():
            part.rename(place)


def set_aside(path: Path, tag: str) -> Path:
    """Rename the file with all that belongs to it; returns its new name."""
    target = path.with_name(f"{path.name}.broken-{tag}")
    # The database first: without its log it would look sound. A log that is left alone is known as such (`connect`).
    move(path, target, SUFFIXES)
    aside = [one for one in path.parent.glob(f"{path.name}.broken-*") if not one.name.endswith(SUFFIXES[1:])]
    for old in sorted(aside, key=lambda one: one.stat().st_ctime_ns)[:-KEPT_ASIDE]:
        for suffix in SUFFIXES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    sync_directory(path.parent)
    return target


def connect(path: Path) -> apsw.Connection:
    """The connection, configured; creates an empty file (0600) where there is none. Raises OSError, apsw.Error."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        if aside := newest_aside(
            path
        ):  # the power was cut between the renames; SQLite would drop a log without its database
            move(path, aside, ("-wal",))
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_directory(path.parent)
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    if db.readonly("main"):
        db.close()
        db = connect_to_read(path)
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)
    # Not before `_renew_log`: what closing would take into the database may be doubtful.
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.set_busy_timeout(0)
    db.limit(apsw.SQLITE_LIMIT_LENGTH, LARGEST_BYTES)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA mmap_size=0")
    return db


def connect_to_read(path: Path) -> apsw.Connection:
    """Without a lock: that needs a writable descriptor, and where we have none, nobody else writes."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs="unix-none")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
    else:
        # SQLite wants to create the log that is not there, unless the file is said to be immutable.
        uri = f"file:{quote(str(path))}?immutable=1"
        db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.limit(apsw.SQLITE_LIMIT_LENGTH, LARGEST_BYTES)
    return db


def load(
    db: apsw.Connection,
    birth: Birth,
    budget_s: float,
    monotonic: Callable[[], float],
    carry: Callable[[apsw.Connection], None] = lambda db: None,
) -> Content:
    """Check, create where empty, prove that it can be written, and read everything but the records.

    `carry` fills a new file with what is left of an older one, in the transaction that makes it.
    """
    readonly = db.readonly("main")
    if not readonly:
        if db.pragma("application_id") == 0 and db.pragma("page_count") == 0:
            _create(db, carry)
        _write_ahead(db)
        _renew_log(db)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    content = Content(fresh=False, checked=_quick_check(db, budget_s, monotonic))
    if db.pragma("application_id") != APPLICATION_ID or db.pragma("user_version") != VERSION:
        raise Damaged("not a journal of this version")
    own = read_items(db, content)
    if not own:
        content.fresh = not _rows(db, content)
    if content.fresh:
        own = {
            "gateway": birth.gateway.encode(),
            "lane": birth.lane.encode(),
            "segments": as_json([(1, birth.journal)]),
        }
    _understand(own, birth, content)
    _rows(db, content)
    content.last = max(content.last, *(last for _, last in content.gone.pairs()[-1:]), 0)  # nor are these given again
    mended = {**({("own", key): value for key, value in own.items()} if content.fresh else {}), **_clip(content)}
    content.why = "read-only" if readonly else _prove(db, mended, birth)
    content.writable = not content.why
    return content


def _create(db: apsw.Connection, carry: Callable[[apsw.Connection], None]) -> None:
    db.execute("PRAGMA page_size=4096")
    with transaction(db):
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute(SCHEMA)
        carry(db)


def _write_ahead(db: apsw.Connection) -> None:
    if db.pragma("journal_mode", "wal") != "wal":
        raise Damaged("cannot use a write-ahead log")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    db.wal_autocheckpoint(0)  # a checkpoint is a step of its own, after the commit was told


def _renew_log(db: apsw.Connection) -> None:
    """Write the log over itself and sync it, before anything of it goes into the database.

    After a failed sync Linux counts the bytes as written: they can be read, the next sync leaves them out, and a power cut
    takes them. A checkpoint built upon such a log could be cut half done, with nothing left to repair it from.
    """
    name = db.filename + "-wal"
    if not os.path.exists(name) or not os.path.getsize(name):
        return
    log = apsw.VFSFile("", name, [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_WAL, 0])
    try:
        size = log.xFileSize()
        for offset in range(0, size, _RENEW_BYTES):
            log.xWrite(log.xRead(min(_RENEW_BYTES, size - offset), offset), offset)
        log.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        log.xClose()


def _quick_check(db: apsw.Connection, budget_s: float, monotonic: Callable[[], float]) -> bool:
    deadline = monotonic() + budget_s
    db.set_progress_handler(lambda: monotonic() > deadline, 10_000)
    try:
        answer = db.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.InterruptError:
        return False
    finally:
        db.set_progress_handler(None)
    if answer != [("ok",)]:
        raise Damaged(f"quick_check: {answer[0][0] if answer else 'no answer'}")
    return True


def _understand(own: dict[str, bytes], birth: Birth, content: Content) -> None:
    for name, expected in (("gateway", birth.gateway), ("lane", birth.lane)):
        if own.get(name) != expected.encode():
            raise Damaged(f"of another {name}, or its name is damaged")
    if "segments" not in own:
        raise Damaged("its journal id is damaged")
    content.segments = [(first, journal) for first, journal in json.loads(own["segments"])]
    content.previous_boot = own.get("boot", b"").decode()
    pairs: list[Pair] = json.loads(own.get("gone", b"[]"))
    content.gone = Ranges(pairs)


def _rows(db: apsw.Connection, content: Content) -> int:
    # count(*) would read every page of the tree
    content.first, content.last = db.execute(
        "SELECT ifnull((SELECT min(sequence) FROM record), 0), ifnull((SELECT max(sequence) FROM record), 0)"
    ).fetchone() or (0, 0)
    return content.last


def _clip(content: Content) -> dict[Item, bytes]:
    """An uplink may have settled what was told early and never reached the disk: those numbers are given again."""
    clipped = {name: Ranges(settled.within(0, content.last)) for name, settled in content.uplinks.items()}
    changed = {name: settled for name, settled in clipped.items() if settled != content.uplinks[name]}
    content.uplinks = clipped
    return {("uplink", name): as_json(settled.pairs()) for name, settled in changed.items()}


def _prove(db: apsw.Connection, mended: dict[Item, bytes], birth: Birth) -> str:
    """Write this opening into the file and the log's rest into the database; why that failed, or nothing."""
    try:
        with transaction(db):
            for item, value in {**mended, ("own", "boot"): birth.boot.encode()}.items():
                put(db, item, value)
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except DAMAGE:
        raise
    except apsw.Error as error:
        return str(error)
    return ""
