"""From an MQTT message to a record or a status, or a reason why not. Pure; written from docs/payloads.md alone.

Guarantees
* `parse` and `parse_status` raise `Malformed` and nothing else, whatever anybody sends; every size is bounded.
* A record that passes is what its attributes say: they agree with each other and with the topic, so nobody gives a
  record of another gateway, lane or journal.
* Unknown attributes and unknown types under ``gengfu.`` pass: a newer gateway stays readable.

The body is looked at elsewhere (`district.content`): a sound envelope with a body that makes no sense is still a record
that happened, and is stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

ALARM, TELEMETRY, STATUS = "alarm", "telemetry", "status"
LARGEST_BODY_BYTES = 256 * 1024
MOST_ATTRIBUTES = 64
LONGEST_ATTRIBUTE = 512
ZEROS = "0" * 64
"""`previous` of the first record of a journal."""

_GATEWAY = r"[^\x00-\x20\x7f/+#\ud800-\udfff]{1,64}"
_TOPIC = re.compile(rf"gengfu/v1/({_GATEWAY})/(alarm|telemetry|status)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ATTRIBUTES = {
    "specversion": r"1\.0",
    "id": rf"{_GATEWAY}/(?:alarm|telemetry)/[0-9a-f]{{1,32}}\.[0-9a-f]{{1,32}}/[0-9]{{1,18}}",
    "source": rf"gengfu:{_GATEWAY}",
    "type": r"gengfu(?:\.[a-z0-9_-]{1,32}){1,4}",
    "time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
    "lane": r"alarm|telemetry",
    "journal": r"[0-9a-f]{1,32}",
    "run": r"[0-9a-f]{1,32}",
    "sequence": r"[1-9][0-9]{0,17}",
    "boot": r"[0-9a-f]{32}",
    "monotonic": r"[0-9]{1,10}\.[0-9]{6}",
    "clock": r"trusted|untrusted",
    "durable": r"true|false",
}
_OF_ALARMS = {"previous": r"[0-9a-f]{64}", "digest": r"[0-9a-f]{64}"}
_REQUIRED = {
    TELEMETRY: {name: re.compile(pattern) for name, pattern in _ATTRIBUTES.items()},
    ALARM: {name: re.compile(pattern) for name, pattern in (_ATTRIBUTES | _OF_ALARMS).items()},
}
_FOLLOWS = re.compile(r"[0-9]{1,18}")
_TYPES = {ALARM: ("gengfu.alarm.", "gengfu.event."), TELEMETRY: ("gengfu.telemetry.",)}
_CONTENT_TYPE = re.compile(r"[a-z]{1,32}/[a-z0-9.+-]{1,64}")


class Malformed(ValueError):
    """Not what docs/payloads.md describes; the message says why. Reaction: set aside in `rejected`, no receipt."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record with a sound envelope."""

    id: str
    gateway: str
    lane: str
    journal: str
    run: str
    sequence: int
    type: str
    time_us: int
    """Wall time in microseconds since 1970."""
    boot: str
    monotonic: str
    """Seconds with six decimals, as sent: the digest is over this text."""
    trusted: bool
    durable: bool
    content_type: str
    body: bytes
    previous: str = ""
    digest: str = ""
    follows: int | None = None
    """Telemetry: numbers between this one and `sequence` are not to be waited for."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a gateway says of itself, or its will."""

    gateway: str
    online: bool
    body: bytes


def split_topic(topic: str) -> tuple[str, str]:
    """Gateway and last level of a topic; raises `Malformed`."""
    matched = _TOPIC.fullmatch(topic)
    if matched is None:
        raise Malformed("topic: not one of ours")
    return matched[1], matched[2]


def parse(topic: str, content_type: str, attributes: Sequence[tuple[str, str]], body: bytes) -> Record:
    """The record in a message on an alarm or telemetry topic; raises `Malformed`."""
    gateway, lane = split_topic(topic)
    if lane not in _REQUIRED:
        raise Malformed("topic: no records here")
    if len(body) > LARGEST_BODY_BYTES:
        raise Malformed("body: too large")
    if _CONTENT_TYPE.fullmatch(content_type) is None:
        raise Malformed("content type: missing or not one")
    given = _checked(attributes, _REQUIRED[lane])
    if given["lane"] != lane or given["source"] != f"gengfu:{gateway}":
        raise Malformed("lane or source: not those of the topic")
    if given["id"] != f"{gateway}/{lane}/{given['journal']}.{given['run']}/{given['sequence']}":
        raise Malformed("id: does not agree with gateway, lane, journal, run and sequence")
    if not given["type"].startswith(_TYPES[lane]):
        raise Malformed("type: not of this lane")
    return Record(
        id=given["id"],
        gateway=gateway,
        lane=lane,
        journal=given["journal"],
        run=given["run"],
        sequence=int(given["sequence"]),
        type=given["type"],
        time_us=_microseconds(given["time"]),
        boot=given["boot"],
        monotonic=given["monotonic"],
        trusted=given["clock"] == "trusted",
        durable=given["durable"] == "true",
        content_type=content_type,
        body=body,
        previous=given.get("previous", "") if lane == ALARM else "",
        digest=given.get("digest", "") if lane == ALARM else "",
        follows=_follows(given) if lane == TELEMETRY else None,
    )


def parse_status(topic: str, body: bytes) -> Status:
    """The status in a message on a status topic; raises `Malformed`."""
    gateway, leaf = split_topic(topic)
    if leaf != STATUS:
        raise Malformed("topic: no status here")
    content = json_object(body)
    online = content.get("online")
    if not isinstance(online, bool):
        raise Malformed("online: neither true nor false")
    return Status(gateway, online, body)


def json_object(body: bytes) -> dict[str, Any]:
    """A strict JSON object of bounded size (no NaN, no lone surrogates); raises `Malformed`."""
    content = json_value(body)
    if not isinstance(content, dict):
        raise Malformed("body: not a JSON object")
    return content


def json_value(body: bytes) -> Any:
    """Strict JSON: no NaN or infinity, UTF-8 only; raises `Malformed`."""
    if len(body) > LARGEST_BODY_BYTES:
        raise Malformed("body: too large")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed("body: not JSON") from error


def digest_holds(record: Record) -> bool:
    """Whether the digest is the one of this record after `previous`."""
    wall = f"{Decimal(record.time_us).scaleb(-6):.6f}"
    trust = "1" if record.trusted else "0"
    lines = "\n".join((record.id, record.type, record.boot, record.monotonic, wall, trust)).encode()
    return sha256(bytes.fromhex(record.previous) + lines + b"\n" + record.body).hexdigest() == record.digest


def _checked(attributes: Sequence[tuple[str, str]], required: dict[str, re.Pattern[str]]) -> dict[str, str]:
    if len(attributes) > MOST_ATTRIBUTES:
        raise Malformed("attributes: too many")
    given = dict(attributes)
    if len(given) != len(attributes):
        raise Malformed("attributes: one is given twice")
    for name, pattern in required.items():
        value = given.get(name)
        if value is None:
            raise Malformed(f"{name}: missing")
        if len(value) > LONGEST_ATTRIBUTE or pattern.fullmatch(value) is None:
            raise Malformed(f"{name}: not as described")
    return given


def _follows(given: dict[str, str]) -> int | None:
    value = given.get("follows")
    if value is None:
        return None
    if _FOLLOWS.fullmatch(value) is None or int(value) >= int(given["sequence"]):
        raise Malformed("follows: not a number before this one")
    return int(value)


def _microseconds(text: str) -> int:
    """RFC 3339 with microseconds and Z, exactly."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed("time: no such moment") from error
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
