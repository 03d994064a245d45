"""GB/T 26875.3-2011, the gateway as a local centre: fire transmission devices call over TCP, their states become points.

Conversation (clause 6)
* What a device sends is handed on first, then confirmed (command 3) with its serial, version and time tag: the driver
  has no clock of its own. Heart-beats, keep-alives and registrations are confirmed alike; what is not understood
  (a vendor's own command, a question) is denied.
* A frame that is damaged and names a known device is denied (6), so that the device sends it again.
* Each group is asked for (types 61, 62, 63, 81) once in its period: a device speaks on a change only, and an old value
  must not get a new time. No answer in 10 s, or a denial: asked again, three times, then not before the next period.

Guarantees
* A group's points are those of one thing: a system, a component, an analogue value or the device itself; what is said
  of another thing never touches them. Bit 0 never changes what the other bits say.
* A known device is told from its source address alone; another one is a `Stranger`, is not answered and not believed.
  A thing of a known device that no group is about is shown as a `Stranger`, too, and confirmed; if it is a component, its
  system is asked at once, and a fire of it raises its system's `fire` where that stands alone in its group: the other
  bits of the system were not said. No fire is lost because a detector was forgotten in the site file.
* Less than one longest frame is kept; what stays incomplete for `GIVE_UP_S` is searched for whole frames.

It does not set clocks (a driver knows no wall time), send commands to the fire system or check on duty.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from drivers import gb26875
from drivers.contract import Driver, Heard, Received, Send, Stranger, Wait
from drivers.gb26875 import FRAME_BYTES, FrameError, Reason
from drivers.gb26875_dialect import DIALECTS, STANDARD, Dialect
from drivers.gb26875_message import Message
from drivers.gb26875_points import At, Options, Thing, check, read, thing_of, things_of
from drivers.gb26875_stream import Piece, Stream
from drivers.gb26875_tables import COMMANDS, CONFIRM, CONTROL, DENY, REQUEST, RESPOND, SEND
from drivers.gb26875_unit import Object, Unit
from gateway.model import BusKind, Deadline, Device, Scan

ANSWER_S, TRIES = 10.0, 4
"""Longest wait for an answer, and one question with three repetitions (clause 6.5)."""
GIVE_UP_S = 5.0
_QUESTIONS = {"system": 61, "component": 62, "analogue": 63, "device": 81}
SET_CLOCK = 90
FIRE = 1 << 1
"""In every state word of every dialect."""
_DENIED = (Reason.CHECKSUM, Reason.TAIL, Reason.COMMAND)
_ENDS = (CONFIRM, DENY, RESPOND)
"""Commands that end an exchange: they are never answered."""


@dataclass(slots=True)
class _Question:
    """One thing of one device, and where its next question stands."""

    thing: Thing
    groups: tuple[int, ...]
    """Those that are about it."""
    period_s: float
    """The shortest of its groups."""
    due: float = 0.0
    tries: int = 0
    serial: int = -1
    """Of the question that is open; -1 when none is."""


@dataclass(slots=True)
class _Peer:
    """One known device on this connection."""

    device: Device
    dialect: Dialect
    asks: bool
    questions: list[_Question]
    head: Message | None = None
    """Its latest sound frame: whom to ask, and with which version."""
    serial: int = 0


Events = Generator[Send | Heard | Stranger | Wait, Received | Deadline | None, None]


@dataclass(slots=True)
class _Centre:
    """One connection."""

    peers: dict[bytes, _Peer]
    stream: Stream = field(default_factory=Stream)

    def hear(self, piece: Piece, at: float) -> Events:
        """A frame, or what was taken for one."""
        source = piece.data[12:18]
        peer = self.peers.get(source)
        if peer is None:
            if piece.message:
                yield Stranger(f"{STANDARD.address(source)} ({source.hex()})")
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

    def _take(self, peer: _Peer, message: Message, data: bytes, at: float) -> Events:
        things = (
            things_of(message.unit) if message.unit else []
        )  # whatever the command: a fire under a wrong one is a fire
        for thing, one in things:
            if any(question.thing == thing for question in peer.questions):
                yield from self._tell(peer, thing, one, at)
            else:
                yield Stranger(f"{peer.device.address}: {' '.join(map(str, thing))}")
                yield from self._tell_system(peer, thing, one, at)
        if peer.head is None:
            for question in peer.questions:
                question.due = at
        peer.head = message
        if message.command == DENY:
            for question in peer.questions:
                if question.serial == message.serial:
                    question.due = at
        verdict = _verdict(message, bool(things), peer.dialect)
        if verdict is not None:
            yield Send(_answer(data, verdict))

    def _tell(self, peer: _Peer, thing: Thing, one: Object, at: float) -> Events:
        for question in peer.questions:
            if question.thing == thing:
                for group in question.groups:
                    columns = [read(point, one, peer.dialect) for point in peer.device.groups[group].points]
                    values = tuple(value for value, _ in columns)
                    yield Heard(Scan(peer.device.id, group, at, values, bytes(quality for _, quality in columns)))
                question.serial, question.tries, question.due = -1, 0, at + question.period_s

    def _tell_system(self, peer: _Peer, thing: Thing, one: Object, at: float) -> Events:
        """A part without a point spoke: a fire of it is a fire of its system, and the system is asked at once."""
        kind, system, address, *_ = thing
        for question in peer.questions if kind == "component" else ():
            if question.thing != ("system", system, address, 0, 0):
                continue
            for group in question.groups if (one.state or 0) & FIRE else ():
                points = peer.device.groups[group].points
                if all(point.source.bit == "fire" for point in points):
                    yield Heard(Scan(peer.device.id, group, at, (1,) * len(points), bytes(len(points))))
            question.serial, question.tries, question.due = -1, 0, at

    def ask(self, at: float) -> Events:
        """The questions that are due."""
        for peer in self.peers.values():
            for question in peer.questions if peer.head and peer.asks else ():
                if question.due > at:
                    continue
                if question.tries >= TRIES:
                    question.serial, question.tries, question.due = -1, 0, at + question.period_s
                    continue
                if question.tries == 0:
                    question.serial, peer.serial = peer.serial, (peer.serial + 1) & 0xFFFF
                question.tries += 1
                question.due = at + ANSWER_S
                yield Send(_question(peer, question))

    def next_due(self) -> float | None:
        dues = [one.due for peer in self.peers.values() if peer.head and peer.asks for one in peer.questions]
        return min(dues, default=None)


def _verdict(message: Message, told: bool, dialect: Dialect) -> int | None:
    """Confirm what was understood, deny what was not; None where no answer is due."""
    command = message.command
    if command in _ENDS or (command == CONTROL and message.unit and message.unit.type == SET_CLOCK):
        return None  # a device that asks for the time: there is none to give, and a confirmation would be a lie
    vendors = command in dialect.commands and command not in COMMANDS
    return CONFIRM if told or command == SEND or vendors else DENY


def _answer(data: bytes, command: int) -> bytes:
    """Confirmation or denial of a frame: its serial, version and time, addresses turned round, no data."""
    body = data[2:12] + data[18:24] + data[12:18] + b"\0\0" + bytes([command])
    return gb26875.START + body + bytes([gb26875.checksum(body)]) + gb26875.END


def _question(peer: _Peer, question: _Question) -> bytes:
    kind, system, address, component_address, _ = question.thing
    one = Object(reserved=0)
    if kind != "device":
        part = component_address if kind in ("component", "analogue") else None
        one = Object(system=system, address=address, component_address=part)
    head = peer.head
    assert head is not None  # `ask` asks only who was heard
    message = Message(
        serial=question.serial,
        version=head.version,
        time=head.time,
        source=head.destination,
        destination=head.source,
        command=REQUEST,
        unit=Unit(_QUESTIONS[kind], 1, (one,)),
    )
    return gb26875.encode(message, peer.dialect)


def _peer(device: Device) -> _Peer:
    options: Options = device.options or Options()
    about: dict[Thing, list[int]] = {}
    for index, group in enumerate(device.groups):
        if group.points:
            about.setdefault(thing_of(group.points[0].source), []).append(index)
    questions = [
        _Question(thing, tuple(groups), min(device.groups[group].period_s for group in groups))
        for thing, groups in about.items()
    ]
    return _Peer(device, DIALECTS[options.dialect], options.ask == "each_period", questions)


def listen(devices: Mapping[str, Device]) -> Events:
    """`Driver.listen`: serves one connection for as long as it lasts."""
    peers = [_peer(device) for device in devices.values()]
    centre = _Centre({peer.dialect.address_bytes(peer.device.address): peer for peer in peers})
    since: float | None = None  # when what is incomplete began
    while True:
        dues = [due for due in (centre.next_due(), None if since is None else since + GIVE_UP_S) if due is not None]
        event = yield Wait(min(dues, default=None))
        if event is None:
            continue
        pieces = centre.stream.feed(event.data) if isinstance(event, Received) else []
        if since is not None and event.at >= since + GIVE_UP_S:
            pieces, since = pieces + centre.stream.give_up(), None
        if pieces or not centre.stream.incomplete_bytes:
            since = None
        if since is None and centre.stream.incomplete_bytes:
            since = event.at
        for piece in pieces:
            yield from centre.hear(piece, event.at)
        yield from centre.ask(event.at)


GB26875 = Driver(At, Options, frozenset({BusKind.LISTEN}), listen=listen, check=check)
