"""Messages as docs/payloads.md describes them, made without any code of the gateway: the tests' own reading of it."""

import hashlib
import json
from datetime import UTC, datetime

ZEROS = "0" * 64
BOOT = "0123456789abcdef" * 2
WALL_US = 1_795_306_831_125_000


def attributes(sequence=1, lane="telemetry", gateway="demo-01", journal="a01b", run="7be0", **changes):
    """User properties in order; a change to None leaves one out."""
    moment = datetime.fromtimestamp(WALL_US // 1_000_000 + sequence % 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    given = {
        "specversion": "1.0",
        "id": f"{gateway}/{lane}/{journal}.{run}/{sequence}",
        "source": f"gengfu:{gateway}",
        "type": "gengfu.telemetry.pack" if lane == "telemetry" else "gengfu.alarm.transition",
        "time": f"{moment}.125000Z",
        "lane": lane,
        "journal": journal,
        "run": run,
        "sequence": str(sequence),
        "boot": BOOT,
        "monotonic": f"{sequence % 1000}.500000",
        "clock": "trusted",
        "durable": "true",
    } | changes
    return [(name, value) for name, value in given.items() if value is not None]


def chained(listed, body, previous=ZEROS):
    """The attributes with `previous` and the right `digest`."""
    given = dict(listed)
    moment = datetime.fromisoformat(given["time"])
    unix = f"{int(moment.timestamp())}.{moment.microsecond:06d}"
    trust = "1" if given["clock"] == "trusted" else "0"
    lines = [given["id"], given["type"], given["boot"], given["monotonic"], unix, trust]
    content = bytes.fromhex(previous) + b"\n".join([*(line.encode() for line in lines), body])
    return [*listed, ("previous", previous), ("digest", hashlib.sha256(content).hexdigest())]


def transition(alarm="fire-1203", after="unacknowledged", **changes):
    body = {
        "alarm": alarm, "class": "fire", "severity": "critical", "before": "normal", "after": after, "active": True,
        "acknowledged": False, "text": {"zh": "火警", "en": "Fire"}, "place": {"building": "12"}, "since": 1234.5,
        "cause": {"kind": "sample", "point": "smoke-1203/density", "value": 7.5, "quality": "good", "at": 1234.5},
        "simulated": True,
    }  # fmt: skip
    return json.dumps(body | changes, ensure_ascii=False).encode()


def pack(**values):
    """SenML of one device's values at one scan; a text beginning with ! is the reason of a BAD point."""
    items = []
    for name, value in values.items():
        if isinstance(value, str) and value.startswith("!"):
            items.append({"n": f"{name}/quality", "vs": value[1:]})
        else:
            field = "vb" if isinstance(value, bool) else "vs" if isinstance(value, str) else "v"
            items.append({"n": name, field: value})
    items[0] = {"bn": "demo-01/smoke-1203/", "bt": WALL_US / 1e6} | items[0]
    return json.dumps(items).encode()


def gap(first, last, dropped, reason="quota"):
    return json.dumps({"first": first, "last": last, "dropped": dropped, "reason": reason}).encode()
