"""The seal of a record: its CRC and, in the alarm lane, its place in the hash chain.

Guarantees
* The CRC covers every field that a reader gets, exactly (times bit by bit); the length of no field is in doubt, since
  only the last one, the body, may contain a newline.
* The digest is what docs/payloads.md tells the receiver to compute, from texts that the receiver has: times are rounded
  to the six decimals that are sent, so both sides hash the same bytes.

Pure: no clock, no disk. It does not sign anything: whoever owns the box can recompute a chain (mutual TLS and the
district's copy answer that).
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from struct import pack
from typing import NamedTuple
from zlib import crc32

from gateway.model import Draft, Lane, Record
from gateway.wire.payloads import record_id

ZERO = "0" * 64
"""`Record.previous` of the first record of a journal."""


class Scribe(NamedTuple):
    """What all records of one opening have in common."""

    gateway: str
    lane: Lane
    journal: str
    run: str
    boot: str


def crc_of(record: Record) -> int:
    """CRC-32 over all fields up to the body; `durable` is not part of the record, the chain has its own digest."""
    names = (record.lane, record.journal, record.run, f"{record.sequence}", record.kind, record.boot)
    times = pack("<dd?", record.at, record.wall, record.trusted)
    return crc32(b"\n".join(("\n".join(names).encode(), times, record.body)))


def digest_of(gateway: str, record: Record) -> str:
    lines = (
        record_id(gateway, record).encode(),
        record.kind.encode(),
        record.boot.encode(),
        b"%.6f" % record.at,
        b"%.6f" % record.wall,
        b"1" if record.trusted else b"0",
        record.body,
    )
    return sha256(bytes.fromhex(record.previous) + b"\n".join(lines)).hexdigest()


def seal(scribe: Scribe, draft: Draft, sequence: int, wall: float, trusted: bool, previous: str) -> Record:
    """Make the record; `wall` is the wall time of `draft.at`. `previous` is used in the alarm lane only."""
    if "\n" in draft.kind:
        raise ValueError(f"a kind is one line: {draft.kind!r}")
    record = Record(
        lane=scribe.lane,
        journal=scribe.journal,
        run=scribe.run,
        sequence=sequence,
        kind=draft.kind,
        boot=scribe.boot,
        at=round(draft.at, 6),
        wall=max(0.0, round(wall, 6)),  # docs/payloads.md knows no time before 1970
        trusted=trusted,
        body=bytes(draft.body),
        crc=0,
        previous=previous if scribe.lane is Lane.ALARM else "",
    )
    digest = digest_of(scribe.gateway, record) if scribe.lane is Lane.ALARM else ""
    return replace(record, crc=crc_of(record), digest=digest)


def sound(gateway: str, record: Record) -> bool:
    """Whether the record is what was sealed: CRC, and in the alarm lane the digest over it and `previous`."""
    if record.crc != crc_of(record):
        return False
    return record.lane is not Lane.ALARM or record.digest == digest_of(gateway, record)
