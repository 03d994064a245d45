"""GB/T 26875.3-2011, the gateway as a local centre: fire transmission devices call over TCP or UDP, their states become
points.

Conversation (clause 6)
* What a device sends is handed on first, then confirmed (command 3) with its serial, version and time tag. Heart-beats,
  keep-alives and registrations are confirmed alike; what is not understood (a vendor's own command, a question) is denied.
* A frame that is damaged and names a known device is denied (6), so that the device sends it again.
* Each group is asked for (types 61, 62, 63, 81) once in its period: a device speaks on a change only, and an old value
  must not get a new time. Its clock is set (90) in a period of its own, and when it asks for it. A person's duty check
  (91) is sent, its confirmation and the operator's answer (24, bit 5) are waited for. Repetitions: `gb26875_peer`.

Guarantees
* A group's points are those of one thing: a system, a component, an analogue value or the device itself; what is said
  of another thing never touches them. Bit 0 never changes what the other bits say.
* A known device is told from its source address alone; another one is a `Stranger`, is not answered and not believed.
  A thing of a known device that no group is about is shown as a `Stranger`, too, and confirmed; what stands above it (its
  system, else the device) is asked at once, and a fire of it raises the `fire` of that: of its groups in which it stands
  alone, else of all, in which the other bits were not said (NOT_YET). A manual alarm (types 4 and 24, bit 2) is such a
  fire, too. No fire is lost because a detector or a system was forgotten in the site file.
* A late copy of an upload (UDP) is confirmed and may raise a fire; the truth is asked for.
* Time is sent only while the gateway's clock is trusted.
* Less than one longest frame is kept a connection, and at most two are joined to be searched; what stays incomplete for `GIVE_UP_S` is searched for whole frames.

It sends no command to the fire system behind a device, ever: types 61 to 63, 81, 90 and 91 are all that it can send.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from math import inf

from drivers import gb26875
from drivers.contract import Conversation, Driver, Heard, Listen, Received, Send, Stranger, Tell, Wait
from drivers.gb26875 import FRAME_BYTES, LONGEST_FRAME_BYTES, FrameError, Reason
from drivers.gb26875_dialect import STANDARD, Dialect
from drivers.gb26875_heard import account
from drivers.gb26875_message import Message
from drivers.gb26875_peer import CLOCK, DUTY, Errand, Outcome, Peer, is_duty_answer, late_s, peer_of
from drivers.gb26875_points import At, Options, Thing, check, read, things_of
from drivers.gb26875_stream import Piece, Stream
from drivers.gb26875_tables import COMMANDS, CONFIRM, CONTROL, DENY, REQUEST, RESPOND, SEND
from drivers.gb26875_unit import Object, Unit
from gateway.model import BusKind, Device, Quality, Scan

GIVE_UP_S = 5.0
DUTY_CHECK = "duty_check"
"""A `Tell`; its amount is the minutes to answer in."""
LONGEST_DUTY_MIN = 255
_QUESTIONS = {"system": 61, "component": 62, "analogue": 63, "device": 81}
_DUTY_ANSWER, _SET_CLOCK, _CHECK_DUTY = 24, 90, 91
FIRE = 1 << 1
"""In every state word of every dialect."""
DEVICE: Thing = ("device", 0, 0, 0, 0)
_MANUAL = (4, 24)
"""Types with operation flags; who presses the alarm key of a device or panel has seen a fire."""
_MANUAL_ALARM = 2
_DENIED = (Reason.CHECKSUM, Reason.TAIL, Reason.COMMAND)
_ENDS = (CONFIRM, DENY, RESPOND)
"""Commands that end an exchange: they are never answered."""


@dataclass(slots=True)
class _Station:
    """What all connections of one port share."""

    by_source: dict[bytes, Peer]
    by_id: dict[str, Peer]
    wall_less_at: float | None = None
    """What makes monotonic time UTC; None while the clock cannot be trusted."""

    def local(self, peer: Peer, at: float) -> bytes | None:
        """The local time of a device as a time tag."""
        if self.wall_less_at is None:
            return None
        utc = datetime.fromtimestamp(self.wall_less_at + at, UTC)
        try:
            return peer.dialect.time_tag(utc.astimezone(timezone(timedelta(hours=peer.options.utc_offset_h))))
        except ValueError:  # a clock set to another century
            return None


@dataclass(slots=True)
class _Centre:
    """One connection."""

    station: _Station
    stream: Stream = field(default_factory=Stream)

    def hear(self, piece: Piece, at: float) -> Conversation:
        """A frame, or what was taken for one."""
        source = piece.data[12:18]
        peer = self.station.by_source.get(source)
        if peer is None:
            if piece.message:
                stranger = f"{STANDARD.address(source)} ({source.hex()})"
                yield Stranger(stranger)
                yield from account(stranger, piece.message, STANDARD, known=False)
            return
        try:
            message = gb26875.decode(piece.data, peer.dialect)
        except FrameError as error:
            # only what is a whole frame by its own length: its serial can be believed enough to ask for it again
            length = int.from_bytes(piece.data[24:26], "little")
            if error.reason in _DENIED and len(piece.data) == FRAME_BYTES + length:
                yield Send(_answer(piece.data, DENY))
            return
        yield from self._take(peer, message, piece.data, at)
        yield from account(str(peer.device.address), message, peer.dialect, known=True)

    def _take(self, peer: Peer, message: Message, data: bytes, at: float) -> Conversation:
        things = things_of(message.unit) if message.unit else []
        # whatever the command: a fire under a wrong one is a fire
        peer.meet(self, at)
        peer.head = message
        copy = message.command == SEND and peer.is_copy(data, message.serial, at)
        for thing, one in things:
            if thing in peer.errands:
                yield from self._copied(peer, thing, one, at) if copy else self._tell(peer, thing, one, at)
            else:
                yield Stranger(f"{peer.device.address}: {' '.join(map(str, thing))}")
                yield from self._tell_above(peer, thing, one.state or 0, at)
        if message.unit and message.unit.type in _MANUAL:
            for one in message.unit.objects:
                if (one.flags or 0) >> _MANUAL_ALARM & 1:
                    yield from self._tell_above(peer, _whose(one), FIRE, at)
        yield from self._settle(peer, message, at)
        asks_time = message.command == CONTROL and message.unit is not None and message.unit.type == _SET_CLOCK
        if asks_time and self.station.wall_less_at is not None:
            peer.errands[CLOCK].serial, peer.errands[CLOCK].tries, peer.errands[CLOCK].due = -1, 0, at
        verdict = None if asks_time else _verdict(message, bool(things), peer.dialect)
        if verdict is not None:
            yield Send(_answer(data, verdict))

    def _tell(self, peer: Peer, thing: Thing, one: Object, at: float) -> Conversation:
        errand = peer.errands[thing]
        for group in errand.groups:
            columns = [read(point, one, peer.dialect) for point in peer.device.groups[group].points]
            values = tuple(value for value, _ in columns)
            yield Heard(Scan(peer.device.id, group, at, values, bytes(quality for _, quality in columns)))
        errand.over(at)

    def _copied(self, peer: Peer, thing: Thing, one: Object, at: float) -> Conversation:
        """A late copy: a fire in it is worth a false alarm, the rest is worth a question."""
        if (one.state or 0) & FIRE:
            yield from self._tell(peer, thing, one, at)
        peer.errands[thing].want(at)

    def _tell_above(self, peer: Peer, thing: Thing, state: int, at: float) -> Conversation:
        """A thing without a point spoke: a fire of it is one of what stands above it, and that is asked at once."""
        kind, system, address, *_ = thing
        over = None if kind == DEVICE[0] else peer.errands.get(("system", system, address, 0, 0))
        if not state & FIRE:
            if over and kind == "component":
                over.want(at)
            return
        for errand in filter(None, (over, peer.errands.get(DEVICE))):
            errand.want(at)
            if scans := _fires(peer.device, errand.groups, at):
                yield from map(Heard, scans)
                return

    def _settle(self, peer: Peer, message: Message, at: float) -> Conversation:
        """What of ours this answers; the operator's answer to a duty check; the state of that, once in its period."""
        changed = at >= peer.duty.tell_due
        errand = next((one for one in peer.errands.values() if one.serial == message.serial), None)
        if errand and message.command == DENY:
            errand.due = at
        elif errand and message.command == CONFIRM and errand.about in (CLOCK, DUTY):
            errand.over(at)
            if errand.about == DUTY:
                peer.duty.confirmed(at, late_s(peer.device))
                changed = True
        if message.unit and message.unit.type == _DUTY_ANSWER:
            for one in filter(is_duty_answer, message.unit.objects):
                if peer.duty.answered(one.operator or 0, at):
                    peer.errands[DUTY].over(at)
                    changed = True
        yield from map(Heard, peer.duty_scans(at) if changed else ())

    def tell(self, event: Tell) -> Conversation:
        """A person's duty check; it takes the place of one that is still open."""
        peer = self.station.by_id.get(event.device)
        if peer is None or event.what != DUTY_CHECK:
            return
        peer.duty.ask(int(event.amount), event.at)
        errand = peer.errands[DUTY]
        errand.serial, errand.tries, errand.due = -1, 0, event.at
        if peer.line is self:  # else it called elsewhere meanwhile, and is asked and told of there
            yield from map(Heard, peer.duty_scans(event.at))

    def ask(self, at: float) -> Conversation:
        """What is due."""
        for peer in self._mine():
            if at >= peer.duty.until:
                peer.duty.ended(Outcome.UNANSWERED)
                yield from map(Heard, peer.duty_scans(at))
            for errand in peer.errands.values():
                if errand.due > at or (errand.about == CLOCK and self.station.local(peer, at) is None):
                    continue
                if errand.tries > peer.options.repeats:
                    errand.over(at)
                    if errand.about == DUTY:
                        peer.duty.ended(Outcome.NOT_DELIVERED)
                        yield from map(Heard, peer.duty_scans(at))
                    continue
                if errand.tries == 0:
                    errand.serial = peer.next_serial()
                errand.tries += 1
                errand.due = at + peer.options.answer_s
                yield Send(self._request(peer, errand, at))

    def next_due(self) -> float:
        dues = [inf]
        for peer in self._mine():
            dues.append(peer.duty.until)
            timed = self.station.wall_less_at is not None
            dues += [errand.due for errand in peer.errands.values() if timed or errand.about != CLOCK]
        return min(dues)

    def _mine(self) -> Iterator[Peer]:
        return (peer for peer in self.station.by_source.values() if peer.line is self)

    def _request(self, peer: Peer, errand: Errand, at: float) -> bytes:
        head, now = peer.head, self.station.local(peer, at)
        assert head is not None  # only who was heard on this connection is asked
        command, unit = _wanted(peer, errand, now)
        message = Message(
            serial=errand.serial,
            version=head.version,
            time=now or head.time,
            source=head.destination,
            destination=head.source,
            command=command,
            unit=unit,
        )
        return gb26875.encode(message, peer.dialect)


def _fires(device: Device, groups: Iterable[int], at: float) -> list[Scan]:
    """A fire in these groups, of which nothing else was said."""
    with_fire = [one for one in groups if any(point.source.bit == "fire" for point in device.groups[one].points)]
    alone = [one for one in with_fire if all(point.source.bit == "fire" for point in device.groups[one].points)]
    scans = []
    for group in alone or with_fire:
        told = [point.source.bit == "fire" for point in device.groups[group].points]
        qualities = bytes(Quality.GOOD if fire else Quality.NOT_YET for fire in told)
        scans.append(Scan(device.id, group, at, tuple(1 if fire else None for fire in told), qualities))
    return scans


def _whose(one: Object) -> Thing:
    """Whose manual alarm it is: a system's (type 4) or the device's (type 24)."""
    return DEVICE if one.system is None else ("system", one.system, one.address or 0, 0, 0)


def _wanted(peer: Peer, errand: Errand, now: bytes | None) -> tuple[int, Unit]:
    """Command and data of an errand."""
    if errand.about == CLOCK:
        return CONTROL, Unit(_SET_CLOCK, 1, (Object(time=now),))
    if errand.about == DUTY:
        return CONTROL, Unit(_CHECK_DUTY, 1, (Object(minutes=peer.duty.minutes),))
    kind, system, address, component_address, _ = errand.about
    one = Object(reserved=0)
    if kind != "device":
        part = component_address if kind in ("component", "analogue") else None
        one = Object(system=system, address=address, component_address=part)
    return REQUEST, Unit(_QUESTIONS[kind], 1, (one,))


def _verdict(message: Message, told: bool, dialect: Dialect) -> int | None:
    """Confirm what was understood, deny what was not; None where no answer is due."""
    command = message.command
    if command in _ENDS:
        return None
    vendors = command in dialect.commands and command not in COMMANDS
    return CONFIRM if told or command == SEND or vendors else DENY


def _answer(data: bytes, command: int) -> bytes:
    """Confirmation or denial of a frame: its serial, version and time, addresses turned round, no data."""
    body = data[2:12] + data[18:24] + data[12:18] + b"\0\0" + bytes([command])
    return gb26875.START + body + bytes([gb26875.checksum(body)]) + gb26875.END


def _station(devices: Mapping[str, Device]) -> _Station:
    peers = [peer_of(device) for device in devices.values()]
    by_source = {one.dialect.address_bytes(one.device.address): one for one in peers}
    return _Station(by_source, {one.device.id: one for one in peers})


def _serve(station: _Station) -> Conversation:
    centre = _Centre(station)
    since: float | None = None  # when what is incomplete began
    while True:
        due = min(centre.next_due(), inf if since is None else since + GIVE_UP_S)
        event = yield Wait(None if due == inf else due)
        if event is None:
            continue
        pieces: list[Piece] = []
        if isinstance(event, Received):
            for at in range(0, len(event.data), LONGEST_FRAME_BYTES):
                pieces += centre.stream.feed(event.data[at : at + LONGEST_FRAME_BYTES])
            station.wall_less_at = None if event.wall is None else event.wall - event.at
        if since is not None and event.at >= since + GIVE_UP_S:
            pieces, since = pieces + centre.stream.give_up(), None
        if pieces or not centre.stream.incomplete_bytes:
            since = None
        if since is None and centre.stream.incomplete_bytes:
            since = event.at
        for piece in pieces:
            yield from centre.hear(piece, event.at)
        if isinstance(event, Tell):
            yield from centre.tell(event)
        yield from centre.ask(event.at)


def listen(devices: Mapping[str, Device]) -> Conversation:
    """`Driver.listen`: serves one connection for as long as it lasts."""
    return _serve(_station(devices))


def open_port() -> Listen:
    """`Driver.open_port`: its connections share what they know of the devices."""
    stations: list[_Station] = []

    def listen(devices: Mapping[str, Device]) -> Conversation:
        if not stations:
            stations.append(_station(devices))
        return _serve(stations[0])

    return listen


GB26875 = Driver(
    At,
    Options,
    frozenset({BusKind.LISTEN}),
    listen=listen,
    check=check,
    open_port=open_port,
    tells=frozenset({DUTY_CHECK}),
    late_s=late_s,
)
