"""Records as MQTT messages, the bodies of events, and receipts back. Pure. The tables are in `gateway.wire.kinds`.

Guarantees
* Every message says who, what, when and in which order in its attributes (CloudEvents 1.0, binary mode); the same
  record always gives the same id.
* `time` and `monotonic` are given with the six decimals that the hash chain was made with.
* `read_receipt` raises `ReceiptError` for anything that is not a receipt, and nothing else.
* `reference` is docs/payloads.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from gateway.model import Command, FloodEdge, Lane, Record, Text
from gateway.wire import kinds, senml
from gateway.wire.alarm import to_json
from gateway.wire.pack import Layout, decode
from gateway.wire.reasons import REASONS

TRANSITION = kinds.TRANSITION
RUN = kinds.RUN
CLOCK = kinds.CLOCK
CLOCK_JUMP = kinds.CLOCK_JUMP
COMMAND = kinds.COMMAND
FLOOD = kinds.FLOOD
TOOL = kinds.TOOL
SITE = kinds.SITE
EVENT_GAP = kinds.EVENT_GAP
TELEMETRY_GAP = kinds.TELEMETRY_GAP
PACK = kinds.PACK

CLOUDEVENTS = "1.0"
RECEIPT_IDS = 10_000
"""More ids than this in one receipt is no receipt (64 KiB cannot hold them)."""


class Message(NamedTuple):
    """What goes to the broker."""

    topic: str
    content_type: str
    properties: tuple[tuple[str, str], ...]
    """MQTT 5 user properties: the CloudEvents attributes."""
    body: bytes

    def size(self) -> int:
        """Of the whole MQTT PUBLISH packet in bytes, at most 16 too many."""
        texts = "".join([self.topic, self.content_type, *chain.from_iterable(self.properties)])
        return 32 + 5 * len(self.properties) + len(texts.encode()) + len(self.body)


class Receipt(NamedTuple):
    """What the district has stored."""

    alarms: tuple[str, ...]
    journal: str
    """Of the telemetry position; empty when there is none."""
    position: int


class ReceiptError(ValueError):
    """Not a receipt. Reaction: the uplink ignores and counts it."""


def topic(gateway: str, name: str) -> str:
    """`name`: alarm, telemetry, status or receipt."""
    return f"{kinds.ROOT}/{gateway}/{name}"


def record_id(gateway: str, record: Record) -> str:
    return f"{gateway}/{record.lane}/{record.journal}.{record.run}/{record.sequence}"


def encode(record: Record, gateway: str, layouts: Mapping[int, Layout], follows: int | None = None) -> Message:
    """The message of a record; raises `DeliveryError` (not to be retried) for a pack that cannot be read.

    `follows`: telemetry: the sequence before this one in the journal.
    """
    pack = record.kind == PACK
    body = senml.encode(gateway, record.wall - record.at, decode(record.body, layouts)) if pack else record.body
    lane = f"{record.lane}"
    properties = [
        ("specversion", CLOUDEVENTS),
        ("id", record_id(gateway, record)),
        ("source", f"gengfu:{gateway}"),
        ("type", record.kind),
        ("time", iso(record.wall)),
        ("lane", lane),
        ("journal", record.journal),
        ("run", record.run),
        ("sequence", f"{record.sequence}"),
        ("boot", record.boot),
        ("monotonic", f"{record.at:.6f}"),
        ("clock", "trusted" if record.trusted else "untrusted"),
        ("durable", "true" if record.durable else "false"),
    ]
    if follows is not None:
        properties.append(("follows", f"{follows}"))
    if record.lane is Lane.ALARM:
        properties += [("previous", record.previous), ("digest", record.digest)]
    return Message(topic(gateway, lane), kinds.SENML if pack else kinds.JSON, tuple(properties), body)


def iso(wall: float) -> str:
    """UTC with microseconds; the digits are those of ``"%.6f" % wall``, as in the hash chain. Before 1970 is 1970."""
    seconds, _, micro = f"{max(wall, 0.0):.6f}".partition(".")
    return f"{_second(int(seconds))}.{micro}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def status(gateway: str, *, online: bool, version: str, boot: str, run: str, since: float, simulated: bool) -> Message:
    """Birth and will, retained; `since`: wall time at which this connection began."""
    body = {
        "online": online,
        "version": version,
        "boot": boot,
        "run": run,
        "since": _second(int(max(since, 0.0))) + "Z",
        "simulated": simulated,
    }
    return Message(topic(gateway, "status"), kinds.JSON, (), to_json(body))


def run(
    version: str, previous_boot: str | None, alarms: Sequence[str], gone: Sequence[str], set_aside: str | None
) -> bytes:
    """Body of `RUN`."""
    return to_json(
        {
            "version": version,
            "previous_boot": previous_boot,
            "alarms": list(alarms),
            "gone": list(gone),
            "set_aside": set_aside,
        }
    )


def clock(boot: str, monotonic: float, wall: float) -> bytes:
    """Body of `CLOCK`."""
    return to_json({"boot": boot, "monotonic": monotonic, "wall": wall})


def clock_jump(boot: str, monotonic: float, before: float, after: float, *, trusted: bool) -> bytes:
    """Body of `CLOCK_JUMP`."""
    return to_json({"boot": boot, "monotonic": monotonic, "before": before, "after": after, "trusted": trusted})


def command(command: Command, refused: Text | None) -> bytes:
    """Body of `COMMAND`."""
    return to_json(
        {
            "action": command.action.value,
            "alarm": command.alarm,
            "who": command.who,
            "why": command.why,
            "for_s": command.for_s,
            "value": command.value,
            "refused": refused and refused._asdict(),
        }
    )


def tool(tool: str, who: str, why: str) -> bytes:
    """Body of `TOOL`."""
    return to_json({"tool": tool, "who": who, "why": why})


def site(
    stage: str,
    who: str,
    why: str,
    digests: tuple[str, str],
    changed: Mapping[str, object] | None = None,
    gone: Mapping[str, str] | None = None,
) -> bytes:
    """Body of `SITE`. `digests`: before and after."""
    before, after = digests
    told = {"stage": stage, "who": who, "why": why, "before": before, "after": after}
    return to_json({**told, "changed": dict(changed or {}), "gone": dict(gone or {})})


def flood(edge: FloodEdge) -> bytes:
    """Body of `FLOOD`."""
    return to_json(
        {
            "begins": edge.begins,
            "since": edge.since,
            "alarms": edge.alarms,
            "grouped": edge.grouped,
            "first": edge.first,
        }
    )


def gap(first: int, last: int, dropped: int, reason: str) -> bytes:
    """Body of `EVENT_GAP` and `TELEMETRY_GAP`."""
    return to_json({"first": first, "last": last, "dropped": dropped, "reason": reason})


def read_receipt(payload: bytes | bytearray) -> Receipt:
    """A receipt from bytes that anybody may have sent; raises `ReceiptError`."""
    try:
        receipt = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ReceiptError("not JSON") from error
    if not isinstance(receipt, dict):
        raise ReceiptError("not an object")
    alarms = receipt.get("alarms", [])
    if not isinstance(alarms, list) or len(alarms) > RECEIPT_IDS or not all(isinstance(name, str) for name in alarms):
        raise ReceiptError("alarms: not a list of ids")
    telemetry = receipt.get("telemetry")
    if telemetry is None:
        return Receipt(tuple(alarms), "", 0)
    if not isinstance(telemetry, dict):
        raise ReceiptError("telemetry: not an object")
    journal, position = telemetry.get("journal"), telemetry.get("position")
    if not isinstance(journal, str) or type(position) is not int or not 0 <= position < 2**63:
        raise ReceiptError("telemetry: no journal and position")
    return Receipt(tuple(alarms), journal, position)


def reference() -> str:
    """docs/payloads.md: all that a receiver needs to know."""
    lines = [
        "# What Gengfu says over MQTT",
        "",
        "<!-- Generated from gateway/wire/kinds.py by `make reference`; a test compares. -->",
        "",
        "MQTT 5 over TLS 1.3 with client certificates; CloudEvents 1.0 in binary mode (attributes = user properties, "
        "`datacontenttype` = the MQTT content type).",
        "A receiver written from this page needs nothing else.",
        "",
        "## Topics",
        "",
        *_table(
            ("topic", "direction", "QoS, retained", "what"),
            [(f"`{topic('<gateway>', name)}`", *rest) for name, *rest in kinds.TOPICS],
        ),
        "## Attributes of every record (user properties)",
        "",
        *_table(("attribute", "example", "meaning"), [(_code(name), *rest) for name, *rest in kinds.ATTRIBUTES]),
        "## Kinds",
        "",
        *_table(
            ("type", "content type", "what"), [(f"`{k.type}`", f"`{k.content_type}`", k.what) for k in kinds.KINDS]
        ),
    ]
    for kind in kinds.KINDS:
        lines += [f"### {kind.type}", ""]
        if kind.fields:
            lines += _table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in kind.fields])
        lines += {
            TRANSITION: ["```json", kinds.TRANSITION_EXAMPLE, "```", ""],
            PACK: [kinds.PACK_TEXT, "", *_table(("quality", "level", "meaning", "含义"), _qualities())],
        }.get(kind.type, [])
    lines += ["### status (retained)", "", "```json", kinds.STATUS_EXAMPLE, "```", ""]
    lines += ["`since`: when this connection began.", ""]
    lines += ["## Receipts (from the district, after its own commit)", ""]
    lines += ["```json", kinds.RECEIPT_EXAMPLE, "```", kinds.RECEIPT_TEXT, ""]
    return "\n".join(lines)


def _qualities() -> list[tuple[str, ...]]:
    return [(f"`{one.label}`", one.level.name, text.en, text.zh) for one, text in REASONS.items() if one]


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)] + [""]
