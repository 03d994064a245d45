"""Who speaks on a port where devices call us, whatever carries it (`listener`: TCP, `datagrams`: UDP).

Guarantees
* Silence is a sample: a device unheard for `longest_silence_s` (else three of its group's periods) gives a scan of BAD
  points, NOT_RESPONDING, in each of its periods; while the port cannot be had, LINE_DOWN.
* A device has one caller: the one on which it was heard last. So no more callers are known than the site has devices,
  however many claim to be one of them, and `last_to_go` never names the caller of a device.
* Callers of no device share the loop's time for one caller between them, in the order in which they came for more; the first
  that one says over a connection does not wait for its turn. So no crowd of strangers keeps a device from being heard.
* What is kept about callers is bounded: `MOST_STRANGERS` addresses, `MOST_ROWS` things of strangers and as many of devices;
  strangers never displace what known devices said.

It believes what the driver says was heard; only `allows` looks at where it came from.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from math import inf

from drivers.contract import Conversation, Event, Heard, Send, Spoke, Stranger, Tell, Wait
from gateway.clock import Clock
from gateway.model import BusSpec, Device, Quality, Scan, Text
from gateway.schedule import after

MOST_STEPS = 10_000
"""A conversation that does this much on one event without waiting never ends: a bug of its driver."""
MOST_STRANGERS = 64
MOST_ROWS = 512
MOST_BYTES_A_SECOND = 64 * 1024
FEWEST_BYTES = 256
"""What comes counts as at least so many: who sends single bytes takes more of the loop than who sends pages."""
NOT_CONNECTED = Text("该设备当前未连接", "this device is not connected now")


@dataclass(slots=True, eq=False)
class Caller:
    """One connection, or one address and port that sends datagrams."""

    peer: str
    last: float
    """When it last said something."""
    own_at: float = 0.0
    """It may say the next thing then: its share of the loop is bounded."""
    turn_at: float = 0.0
    """Its turn among the strangers, as long as it is one."""
    devices: set[str] = field(default_factory=set)
    """Those whose caller it is."""
    heard: bool = False
    """Whether any device was ever heard on it."""
    told: deque[Tell] = field(default_factory=lambda: deque(maxlen=4))
    """What persons want of its devices, not yet given to its driver."""

    @property
    def free_at(self) -> float:
        """When it may say the next thing."""
        return self.own_at if self.devices else max(self.own_at, self.turn_at)


@dataclass(slots=True)
class Voice:
    """One group of one device."""

    device: Device
    group: int
    silence_s: float
    heard_at: float
    sample_at: float = 0.0
    scans: int = 0


@dataclass(slots=True)
class _Row:
    """The latest that was said of one thing."""

    spoke: Spoke
    peer: str
    first: float
    last: float
    times: int = 1


Written = Callable[[Callable[[], None]], None]
"""Calls what it is given once all that was heard so far is on the disk (or announced without it: half a second at most). A
device is told that its fire was heard when nothing can take it back any more: it would not send it again."""


def at_once(call: Callable[[], None]) -> None:
    """Where nothing is written."""
    call()


class Voices:
    """`take` gets every scan, on the loop."""

    def __init__(self, spec: BusSpec, devices: Sequence[Device], clock: Clock, take: Callable[[Scan], None]) -> None:
        self._spec = spec
        self._clock = clock
        self._take = take
        self._allow = [ip_network(one) for one in spec.allow]
        now = clock.monotonic()
        self._voices = {
            (device.id, index): Voice(device, index, spec.longest_silence_s or 3 * group.period_s, now)
            for device in devices
            for index, group in enumerate(device.groups)
            if group.points
        }
        self._callers: dict[str, Caller] = {}
        """By device."""
        self._crowd_at = 0.0
        """When the strangers together have used up what they said."""
        self._rows: dict[bool, OrderedDict[tuple[object, ...], _Row]] = {True: OrderedDict(), False: OrderedDict()}
        self.strangers: Counter[str] = Counter()
        """Addresses that no device of the site has: frames heard. Bounded: the rarest is forgotten."""
        self.counts: Counter[str] = Counter()

    # -- what is said --------------------------------------------------------------------------------------------------

    def converse(
        self, conversation: Conversation, event: Event | None, caller: Caller, send: Callable[[bytes], bool]
    ) -> Wait | None:
        """Let the driver act on `event` until it waits for the next; None: it is done with this caller. `send` says
        whether the caller takes what it is sent."""
        for _ in range(MOST_STEPS):
            try:
                step = conversation.send(event)
            except StopIteration:
                return None
            event = None
            match step:
                case Wait():
                    return step
                case Heard():
                    self._hear(step.scan, caller)
                case Stranger():
                    self._meet(step.address)
                case Spoke():
                    self._note(step, caller)
                case Send():
                    if not send(step.data):
                        self.counts["does_not_read"] += 1
                        return None
        raise RuntimeError(f"a conversation on {self._spec.id} never waits")

    def _hear(self, scan: Scan, caller: Caller) -> None:
        voice = self._voices[scan.device, scan.group]
        count = len(voice.device.groups[scan.group].points)
        if (len(scan.values), len(scan.qualities)) != (count, count):
            raise ValueError(f"{scan.device}: the scan is not of its group")
        before = self._callers.get(scan.device)
        if before is not caller:
            if before is not None:
                before.devices.discard(scan.device)
            self._callers[scan.device] = caller
            caller.devices.add(scan.device)
            caller.heard = True
        voice.heard_at = self._clock.monotonic()
        voice.scans += 1
        self._take(scan)

    def _meet(self, address: str) -> None:
        self.counts["stranger_frames"] += 1
        if address not in self.strangers and len(self.strangers) >= MOST_STRANGERS:
            del self.strangers[min(self.strangers, key=lambda known: self.strangers[known])]
        self.strangers[address] += 1

    def _note(self, spoke: Spoke, caller: Caller) -> None:
        now, rows = self._clock.monotonic(), self._rows[spoke.known]
        key = (spoke.caller, *(pair for pair in spoke.about if pair[0] != "description"))
        row = rows.get(key)
        if row is None:
            if len(rows) >= MOST_ROWS:
                rows.popitem(last=False)
            rows[key] = _Row(spoke, caller.peer, now, now)
            return
        row.spoke, row.peer, row.last, row.times = spoke, caller.peer, now, row.times + 1
        rows.move_to_end(key)

    def heard(self) -> list[dict[str, object]]:
        """Everything that spoke, as plain JSON values; the site's own devices first."""
        now = self._clock.monotonic()
        return [
            {
                "caller": row.spoke.caller,
                "known": row.spoke.known,
                "about": dict(row.spoke.about),
                "says": row.spoke.says._asdict(),
                "peer": row.peer,
                "first_s_ago": round(now - row.first, 1),
                "last_s_ago": round(now - row.last, 1),
                "times": row.times,
            }
            for known in (True, False)
            for row in self._rows[known].values()
        ]

    def status(self) -> dict[str, object]:
        now = self._clock.monotonic()
        devices = {
            voice.device.id: {"heard_s_ago": round(now - voice.heard_at, 1), "scans": voice.scans}
            for voice in self._voices.values()
            if voice.scans
        }
        return {"devices": devices, "strangers": dict(self.strangers), **self.counts}

    # -- silence -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Silence while nobody listened is not theirs."""
        now = self._clock.monotonic()
        for voice in self._voices.values():
            voice.heard_at = max(voice.heard_at, now)

    def tell_silence(self, now: float, *, up: bool) -> float:
        """A scan for each group whose silence is too long in this period. Returns when to look again."""
        wake_at = inf
        for voice in self._voices.values():
            silent_at = voice.heard_at + voice.silence_s if up else now
            due = max(silent_at, voice.sample_at)
            if due <= now:
                group = voice.device.groups[voice.group]
                count = len(group.points)
                quality = Quality.NOT_RESPONDING if up else Quality.LINE_DOWN
                self._take(Scan(voice.device.id, voice.group, now, (None,) * count, bytes((quality,)) * count))
                due = voice.sample_at = after(now, group.period_s)
            wake_at = min(wake_at, due)
        return wake_at

    # -- whose turn it is ----------------------------------------------------------------------------------------------

    def crowded(self, now: float) -> bool:
        """Whether strangers have had their share for now."""
        return self._crowd_at > now

    def spend(self, caller: Caller, size: int, now: float) -> None:
        """It said so much."""
        cost_s = max(size, FEWEST_BYTES) / MOST_BYTES_A_SECOND
        caller.last = now
        caller.own_at = max(caller.own_at, now - 1.0) + cost_s
        if not caller.devices:
            self._crowd_at = caller.turn_at = max(self._crowd_at, now - 1.0) + cost_s

    # -- who calls -----------------------------------------------------------------------------------------------------

    def allows(self, host: str) -> bool:
        """Whether the site lets this address speak; all, when it names none."""
        if not self._allow:
            return True
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._allow)

    def caller_of(self, device: str) -> Caller | None:
        return self._callers.get(device)

    def left(self, caller: Caller) -> None:
        for device in caller.devices:
            del self._callers[device]
        caller.devices.clear()


def last_to_go(callers: Iterable[Caller]) -> Caller | None:
    """Whom to put out for a new caller: one on which no device was ever heard, then one whose devices call elsewhere by
    now, the most silent first; None when each is a device's caller."""
    loose = [caller for caller in callers if not caller.devices]
    return min(loose, key=lambda caller: (caller.heard, caller.last), default=None)
