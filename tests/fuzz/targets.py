"""Every parser that meets a wire, as fuzzing targets: what it is fed, what it may raise, what must hold of the result.

A parser's documented error family is an outcome; anything else that escapes is a bug, and so is a broken promise (an
`assert` here): bytes lost in a stream, memory that grows, a frame that is not written back as it was.
"""

import json
import logging
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

from district import content, record
from drivers import DRIVERS, gb26875, meokon
from drivers.contract import Heard, Received, Send, Stranger, Wait
from drivers.gb26875_dialect import DIALECTS
from drivers.gb26875_stream import Stream
from drivers.modbus_pdu import crc16
from gateway import config, decode
from gateway.clock import SystemClock
from gateway.control import LINE_BYTES, Control, Refused, encoded
from gateway.errors import BusError, ConfigError, DeliveryError
from gateway.model import Action, BusKind, Command, Deadline, Kind, Level, Point, Quality, Scan, Text
from gateway.restart import Guard
from gateway.wire import mqtt5, pack, payloads
from tests import fake_broker
from tests.district import messages
from tests.drivers import loading
from tests.fuzz.files import FILES, YAML_WORDS, contents
from tests.fuzz.lines import ON_LINES
from tests.fuzz.mutate import Target

ROOT = Path(__file__).parents[2]
VECTORS = [
    bytes.fromhex(one["hex"])
    for one in json.loads((ROOT / "tests" / "drivers" / "gb26875_vectors.json").read_text(encoding="utf-8"))
]
NAMES = tuple(dict.fromkeys(row.name for row in DIALECTS.values()))


# --- drivers that ask: the first two bytes choose device and bus, the rest is what the line says


def _asking() -> list[tuple[str, BusKind, int]]:
    return [
        (name, kind, group)
        for name in loading.NAMES
        for kind in sorted(DRIVERS[loading.template(name)["driver"]].buses & {BusKind.SERIAL, BusKind.TCP})
        for group in range(len(loading.template(name)["groups"]))
    ]


ASKING = _asking()


def _golden(name: str) -> list[bytes]:
    return [bytes.fromhex(step["reply"]) for golden in loading.template(name)["golden"] for step in golden["exchanges"]]


def _poll_seeds(kind: BusKind, driver: str) -> tuple[bytes, ...]:
    seeds = []
    for index, (name, bus, _) in enumerate(ASKING):
        if bus is not kind or loading.template(name)["driver"] != driver:
            continue
        for reply in _golden(name):
            rtu = reply[2:4] != b"\0\0" or driver != "modbus"
            if kind is BusKind.TCP and rtu:
                reply = b"\0\0\0\0" + (len(reply) - 2).to_bytes(2, "big") + reply[:-2]
            elif kind is BusKind.SERIAL and not rtu:
                reply = reply[6:] + crc16(reply[6:]).to_bytes(2, "little")
            seeds.append(bytes([index]) + reply)
    return tuple(seeds)


def _poll(data: bytes) -> object:
    """One poll with everything that the line says as its replies, one after the other."""
    name, kind, group = ASKING[data[0] % len(ASKING)] if data else ASKING[0]
    device = loading.device(name, loading.template(name)["golden"][0]["address"])
    left = data[1:]

    def answer(exchange):
        nonlocal left
        try:
            reply = loading.framed(exchange, left)
        except BusError:
            left = b""
            raise
        left = left[len(reply) :]
        return reply

    try:
        scan, exchanges = loading.run(DRIVERS[device.driver].open(device, kind)(group), answer)
    except BusError as error:
        if error.scan is not None:
            _sound_scan(error.scan)
        return name, kind, error.quality
    assert len(exchanges) < 1000, "a poll without an end"
    _sound_scan(scan)
    return name, kind, scan.qualities


def _sound_scan(scan: Scan) -> None:
    assert len(scan.values) == len(scan.qualities)
    for value, quality in zip(scan.values, scan.qualities, strict=True):
        assert (value is None) == (Quality(quality).level is Level.BAD)


def _repair_rtu(data: bytearray) -> None:
    """The byte count stays: a reply is taken only with the one that was asked for."""
    if len(data) > 4:
        data[-2:] = crc16(data[1:-2]).to_bytes(2, "little")


def _repair_tcp(data: bytearray) -> None:
    if len(data) > 9:
        data[1:5] = b"\0\0\0\0"
        data[5:7] = (len(data) - 7).to_bytes(2, "big")


def _repair_bwm826(data: bytearray) -> None:
    if len(data) > 6:
        data[1:3] = bytes([0x77, (len(data) - 2) & 0xFF])
        data[-1] = sum(data[2:-1]) & 0xFF


# --- GB/T 26875: the first byte chooses the dialect


def _dialect(data: bytes) -> str:
    return NAMES[data[0] % len(NAMES)] if data else NAMES[0]


def _gb26875(data: bytes) -> object:
    name, frame = _dialect(data), data[1:]
    try:
        reading = decode.decode("gb26875", frame, name)
    except decode.Undecodable as error:
        return name, error.reason
    json.dumps(reading.to_json(), ensure_ascii=False).encode()
    message = gb26875.decode(frame, DIALECTS[name])
    assert gb26875.encode(message, DIALECTS[name]) == frame
    assert len(reading.content["objects"]) <= len(frame)
    return name, message.command, reading.content["type"], len(message.warnings)


def _gb26875_stream(data: bytes) -> object:
    """In pieces of a size that the second byte says."""
    dialect, size = DIALECTS[_dialect(data)], 1 + (data[1] if len(data) > 1 else 0)
    stream, pieces, rest = Stream(dialect), [], data[2:]
    for at in range(0, len(rest), size):
        pieces += stream.feed(rest[at : at + size])
        assert stream.incomplete_bytes < gb26875.LONGEST_FRAME_BYTES
    pieces += stream.give_up()
    assert stream.incomplete_bytes == 0
    assert b"".join(piece.data for piece in pieces) == rest
    return tuple(piece.error.reason if piece.error else "frame" for piece in pieces)[:6]


def _repair_gb26875(data: bytearray) -> None:
    frame = data[1:]
    if len(frame) >= gb26875.FRAME_BYTES:
        frame[:2], frame[-2:] = gb26875.START, gb26875.END
        frame[24:26] = ((len(frame) - gb26875.FRAME_BYTES) & 0xFFFF).to_bytes(2, "little")
        frame[-3] = sum(frame[2:-3]) & 0xFF
        data[1:] = frame


def _gb26875_centre(data: bytes) -> object:
    """One connection to the local centre, in pieces of a size that the first byte says, half a second each."""
    panel = loading.device("gb26875_device", 889)
    listening = DRIVERS["gb26875"].listen({"889": panel})
    item, said, size, at = next(listening), [], 1 + (data[0] if data else 0), 0.0
    for start in range(1, len(data), size):
        at += 0.5
        events = [Received(data[start : start + size], at)]
        if item.until is not None and item.until <= at:
            events.append(Deadline(at))
        for event in events:
            item = listening.send(event)
            while not isinstance(item, Wait):
                if isinstance(item, Heard):
                    _sound_scan(item.scan)
                said.append(type(item).__name__)
                item = next(listening)
            assert item.until is None or item.until > at, "waits for what has been"
    assert len(said) <= 2 * len(data)
    return tuple(said[:8])


# --- MEOKON: the first byte says in which pieces it comes


def _meokon(data: bytes) -> object:
    terminal = loading.device("meokon_hydrant", "SHMK19060013")
    listening = meokon.listen({terminal.address: terminal})
    said, at = [], 0.0
    item = next(listening)
    size = 1 + (data[0] if data else 0)
    events = [Received(data[start : start + size], 1.0) for start in range(1, len(data), size)]
    for event in [*events, Deadline(1.0 + meokon.GIVE_UP_S)]:
        at += 0.01
        item = listening.send(event)
        while not isinstance(item, Wait):
            assert isinstance(item, Heard | Send | Stranger)
            if isinstance(item, Heard):
                _sound_scan(item.scan)
            said.append(item)
            item = next(listening)
    try:
        decode.decode("meokon", data[1:])
        outcome = "read"
    except decode.Undecodable as error:
        outcome = error.reason
    return (outcome, *(type(one).__name__ for one in said[:6]))


def _repair_meokon(data: bytearray) -> None:
    if len(data) > 12:
        data[1:3], data[-2:] = meokon.START, meokon.END
        data[4:6] = ((len(data) - 1) & 0xFFFF).to_bytes(2, "big")
        data[-4:-2] = crc16(data[1:-4]).to_bytes(2, "big")


# --- gengfu decode: the first byte chooses the protocol


PROTOCOLS = tuple(decode.PROTOCOLS)


def _words(data: bytes) -> object:
    protocol, rest = PROTOCOLS[data[0] % len(PROTOCOLS)] if data else PROTOCOLS[0], data[1:]
    pieces = decode.stream(protocol, rest)
    assert b"".join(piece.data for piece in pieces) == rest
    for piece in pieces:
        json.dumps(piece.reading.to_json() if piece.reading else piece.error.to_json(), ensure_ascii=False).encode()
    try:
        reading = decode.decode(protocol, rest)
    except decode.Undecodable as error:
        return protocol, error.reason, len(pieces) > 1
    return protocol, reading.content.get("kind"), len(reading.warnings)


# --- what a gateway reads besides its devices


@cache
def _site_file() -> Path:
    return Path(tempfile.mkdtemp(prefix="gengfu-fuzz-")) / "site.yaml"


def _site(data: bytes) -> object:
    path = _site_file()
    path.write_bytes(data)
    try:
        site = config.load(path)
    except ConfigError as error:
        mistakes = error.mistakes
    else:
        return "loaded", len(site.devices)
    assert mistakes
    assert all(mistake.zh and mistake.en and mistake.line >= 0 for mistake in mistakes)
    return len(mistakes), mistakes[0].en[:40]


def _refuse(request):
    raise Refused(Text("没有", f"no {request.get('device')}"))


def _command(command: Command) -> Text | None:
    payloads.command(command, None)  # the pipeline makes a record of every command
    return None


def _control(data: bytes) -> object:
    guard = Guard()
    views = {"status": lambda request: {"up": 1}, "read": _refuse}
    answer = Control(Path("control.sock"), views, _command, SystemClock(), guard).answer(data[:LINE_BYTES], "uid 0")
    assert not guard.caught, guard.faults
    assert json.loads(encoded(answer))["ok"] is answer["ok"]
    return answer["ok"], answer.get("en", "")[:12]


def _receipt(data: bytes) -> object:
    try:
        receipt = payloads.read_receipt(data)
    except payloads.ReceiptError as error:
        return str(error)
    assert 0 <= receipt.position < 2**63
    assert len(receipt.alarms) <= payloads.RECEIPT_IDS
    return bool(receipt.alarms), receipt.position.bit_length()


def _mqtt_seeds() -> tuple[bytes, ...]:
    connack = fake_broker.packet(2, 0, b"\x00\x00\x0b\x21\x00\x14\x26\x00\x01a\x00\x02bc")
    suback = fake_broker.packet(9, 0, b"\x00\x01\x00\x01")
    receipt = fake_broker.message("gengfu/v1/demo-01/receipt", b'{"alarms": []}', mid=3)
    return (b"\x05" + connack + suback + receipt, b"\x40" + fake_broker.puback(7, 0x10) + receipt + b"\xd0\0\xe0\1\x8e")


def _mqtt(data: bytes) -> object:
    """In pieces of a size that the first byte says, and all at once: the same packets, the same refusal."""
    heard = []
    step, rest = (data[0] or 1, data[1:]) if data else (1, b"")
    for size in (step, len(rest) or 1):
        inbound, packets = mqtt5.Inbound(4096), []
        try:
            for at in range(0, len(rest), size):
                packets += inbound.feed(rest[at : at + size])
        except mqtt5.ProtocolError as error:
            packets.append(error.__class__)
        heard.append(packets)
    assert heard[0] == heard[1]
    return tuple(type(one).__name__ for one in heard[0][:4])


_KINDS = (Kind.FLOAT, Kind.BOOL, Kind.INT, Kind.ENUM)
LAYOUTS = {
    layout.id: layout
    for layout in (
        pack.Layout("d", 0, [Point(f"d/p{n}", f"p{n}", kind) for n, kind in enumerate(_KINDS)]),
        pack.Layout("d", 1, [Point("d/t", "t", Kind.TEXT), Point("d/f", "f", Kind.FLOAT)]),
    )
}


def _pack_seeds() -> tuple[bytes, ...]:
    numbers, texts = LAYOUTS.values()
    full = Scan("d", 0, 1.5, (1.0, 1, 2, 3), bytes(4))
    worn = Scan("d", 0, 2.5, (None, 1, None, 3), bytes([Quality.NOT_RESPONDING, 0, Quality.REFUSED, 1]))
    text = Scan("d", 1, 3.5, ("烟感", 1.0), bytes(2))
    return tuple(
        pack.encode(scans)
        for scans in (
            [(numbers, full, None)],
            [(numbers, worn, None), (texts, text, None)],
            [(numbers, worn, (1, 3)), (texts, text, (0,)), (numbers, full, None)],
        )
    )


def _pack(data: bytes) -> object:
    refused = None
    try:
        entries = list(pack.decode(data, LAYOUTS))
    except DeliveryError as error:
        refused = error
    if refused:
        assert not refused.retry
        return str(refused)[:40]
    for entry in entries:
        columns = range(len(entry.layout.points)) if entry.columns is None else entry.columns
        assert len(columns) == len(entry.values) == len(entry.qualities)
    return len(entries), {entry.columns for entry in entries} == {None}


# --- the district's: topic, content type, attributes and an empty line, then the body


def _district_seeds() -> tuple[bytes, ...]:
    rows = (
        ("telemetry", "gengfu.telemetry.pack", messages.pack(density=1.5, alarm=False, fault="!refused")),
        ("telemetry", "gengfu.telemetry.gap", messages.gap(1, 2, 2)),
        ("alarm", "gengfu.alarm.transition", messages.transition()),
        ("alarm", "gengfu.event.clock", b'{"boot": "0123", "monotonic": 1.5, "wall": 1795306831.5}'),
        ("status", "", b'{"online": true, "since": "2026-11-22T00:00:00Z"}'),
    )
    seeds = []
    for lane, kind, body in rows:
        listed = messages.attributes(7, "alarm" if lane == "status" else lane, type=kind)
        if lane == "alarm":
            listed = messages.chained(listed, body)
        head = [f"gengfu/v1/demo-01/{lane}", "application/json", *(f"{name}={value}" for name, value in listed)]
        seeds.append("\n".join(head).encode() + b"\n\n" + body)
    return tuple(seeds)


READERS = {
    content.TRANSITION: content.read_transition,
    content.CLOCK: content.read_clock,
    content.PACK: content.read_pack,
    **dict.fromkeys(content.GAPS, content.read_gap),
}


def _district(data: bytes) -> object:
    head, _, body = data.partition(b"\n\n")
    topic, kind, *rest = [*head.decode("utf-8", "replace").split("\n"), "", ""]
    listed = [tuple(row.partition("=")[::2]) for row in rest if row]
    try:
        if topic.endswith("status"):
            return record.parse_status(topic, body).online
        read = record.parse(topic, kind, listed, body)
        held = record.digest_holds(read) if read.previous else None
        told = READERS[read.type](read) if read.type in READERS else None
    except record.Malformed as error:
        return str(error)[:40]
    return read.type, held, type(told).__name__


JSON_WORDS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"1e999", b"-0", b"NaN", b'"\\ud800"', b"[" * 3000,
    b"9" * 400, b"9" * 5000, b"\xff", b"\\u0000", b'{"a":' * 2000,
)  # fmt: skip


def _control_seeds() -> tuple[bytes, ...]:
    asked = [{"do": action.value, "alarm": "fire-1203", "who": "王", "why": "演练"} for action in Action]
    return tuple(json.dumps(one).encode() for one in [{"do": "status"}, {"do": "read", "device": "d"}, *asked])


_MEOKON_SEED = bytes.fromhex(loading.template("meokon_hydrant")["golden"][0]["exchanges"][0]["received"])
_FIRST = (b"\xff" + _MEOKON_SEED, b"\x04" + _MEOKON_SEED * 2)

TARGETS = {
    target.name: target
    for target in (
        Target("modbus-rtu", _poll, _poll_seeds(BusKind.SERIAL, "modbus"), 3_000, _repair_rtu),
        Target("modbus-tcp", _poll, _poll_seeds(BusKind.TCP, "modbus"), 2_500, _repair_tcp),
        Target("bwm826", _poll, _poll_seeds(BusKind.SERIAL, "bwm826"), 4_000, _repair_bwm826),
        Target(
            "gb26875",
            _gb26875,
            tuple(bytes([dialect]) + frame for frame in VECTORS for dialect in range(len(NAMES))),
            14_000,
            _repair_gb26875,
        ),
        Target(
            "gb26875-stream",
            _gb26875_stream,
            tuple(b"\0\x1f" + one + two for one, two in pairwise(VECTORS)),
            12_000,
            words=(b"@@", b"##", b"\0\4", b"\0\2"),
        ),
        Target(
            "gb26875-centre",
            _gb26875_centre,
            tuple(b"\x4d" + one + two for one, two in pairwise(VECTORS)),
            4_000,
            _repair_gb26875,
        ),
        Target("meokon", _meokon, _FIRST, 5_000, _repair_meokon),
        Target(
            "decode",
            _words,
            tuple(bytes([n]) + seed[1:] for n in range(len(PROTOCOLS)) for seed in (*_FIRST, b"\0" + VECTORS[0]))
            + tuple(b"\1" + seed[1:] for seed in _poll_seeds(BusKind.SERIAL, "modbus"))
            + tuple(b"\2" + seed[1:] for seed in _poll_seeds(BusKind.TCP, "modbus"))
            + tuple(b"\3" + seed[1:] for seed in _poll_seeds(BusKind.SERIAL, "bwm826")),
            2_500,
        ),
        Target("site", _site, contents("tests/gateway/sites/*/*.yaml"), 1_000, words=YAML_WORDS),
        Target("control", _control, _control_seeds(), 20_000, words=JSON_WORDS),
        Target("receipt", _receipt, (
            b'{"alarms": ["demo-01/alarm/a01b.7be0/7"], "telemetry": {"journal": "a01b", "position": 12}}',
            b'{"telemetry": {"journal": "a01b", "position": 9223372036854775807}}',
        ), 80_000, words=JSON_WORDS),
        Target("mqtt", _mqtt, _mqtt_seeds(), 4_000),
        Target("pack", _pack, _pack_seeds(), 60_000, words=tuple(struct.pack("<Q", key) for key in LAYOUTS)),
        Target("district", _district, _district_seeds(), 60_000, words=JSON_WORDS),
        *ON_LINES,
        *FILES,
    )
}  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Hostile input is logged, and a million lines of it help nobody."""
    log = logging.getLogger("gateway")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
