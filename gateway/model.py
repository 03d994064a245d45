"""The vocabulary of the whole house: frozen values, no I/O, no clock, no behaviour beyond looking at themselves.

Guarantees
* A point's id is ``device/name``. It never depends on the order of a file.
* A scan is one object a poll: columns in its group's point order. A `Sample` is a view into a scan, made only where
  one is looked at (evidence, console, tests), never for each value on the hot path.
* Times named ``at`` are seconds on the monotonic clock of this boot; wall times are seconds since 1970 UTC and are
  labels with a trust mark, never used for order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

Value = float | int | str | None
"""A point's value; booleans are the integers 0 and 1; None exactly when the quality is BAD."""


class Level(IntEnum):
    """What a quality lets a value do (law 1)."""

    GOOD = 0
    UNCERTAIN = 1
    """Implausible: keeps its value, may raise an alarm, never clears one."""
    BAD = 2
    """No value: neither raises nor clears."""


class Quality(IntEnum):
    """A sample's quality with its reason; one byte in a pack. `level` says what it lets the value do."""

    GOOD = 0
    OUT_OF_RANGE = 1
    """Outside the instrument's stated range."""
    JUMPING = 2
    """Changes faster than the quantity can."""
    STUCK = 3
    """Has not moved by a digit for longer than the quantity can stand still."""
    DOUBLE_ADDRESS = 4
    """Two devices answer for this address: the value is of one of them."""
    COUNT_LOST = 5
    """A count goes on after counts may have been missed: the device was reset or exchanged, or a reply was lost."""
    INCOMPLETE = 16
    """Computed although some of what it is computed from was missing or uncertain."""
    NOT_RESPONDING = 32
    """No reply within the time-out."""
    BAD_FRAME = 33
    """A reply that cannot be trusted: checksum, length, byte count, foreign address or function."""
    REFUSED = 34
    """The device answered with an exception."""
    NO_SUCH_REGISTER = 35
    """The device says that it does not have this address: look at the template."""
    NOT_A_NUMBER = 36
    """The reply is sound but holds no number: NaN, infinity, a digit that is none."""
    SENSOR_FAULT = 37
    """The device itself marks the value as invalid."""
    LINE_DOWN = 38
    """The port or connection of the bus cannot be used."""
    NOT_YET = 39
    """Never heard since the gateway started."""
    DRIVER_FAULT = 40
    """The driver failed; a bug, guarded."""

    @property
    def level(self) -> Level:
        return Level.GOOD if self == 0 else Level.UNCERTAIN if self < 32 else Level.BAD

    @property
    def label(self) -> str:
        """The word used in payloads, logs and the console: ``good``, ``not_responding``..."""
        return self.name.lower()


class Text(NamedTuple):
    """One message for a person, in both languages."""

    zh: str
    en: str


class Kind(StrEnum):
    """What a point's value is; fixes its column in a pack and its SenML field."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    ENUM = "enum"
    """An integer with labels in `Point.labels`; sent as the label (SenML vs)."""
    TEXT = "text"


class PointClass(StrEnum):
    SAFETY = "safety"
    """A life may hang on it: polled in the fast group; its silence is a fault alarm of high severity."""
    STATUS = "status"
    MEASUREMENT = "measurement"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a thing is, in the words of the compound. All fields may be empty; `zone` is the fire compartment."""

    grid: str = ""
    building: str = ""
    unit: str = ""
    floor: str = ""
    flat: str = ""
    position: str = ""
    zone: str = ""

    def text(self) -> Text:
        """The place as a person reads it, from the largest part to the smallest; empty parts are left out."""
        zh = (
            (f"{self.grid}", self.grid),
            (f"{self.building}号楼", self.building),
            (f"{self.unit}单元", self.unit),
            (f"{self.floor}层", self.floor),
            (f"{self.flat}室", self.flat),
            (self.position, self.position),
        )
        en = (
            (self.grid, self.grid),
            (f"building {self.building}", self.building),
            (f"unit {self.unit}", self.unit),
            (f"floor {self.floor}", self.floor),
            (f"flat {self.flat}", self.flat),
            (self.position, self.position),
        )
        return Text("".join(part for part, there in zh if there), ", ".join(part for part, there in en if there))


@dataclass(frozen=True, slots=True)
class Counter:
    """How a counter begins anew. Its point's value is the total: it never falls while the gateway runs."""

    bits: int | None
    """Wraps after 2 to this power counts; None: reading clears it."""
    step: float = 1
    """One count in the point's unit."""


@dataclass(frozen=True, slots=True)
class Plausibility:
    """What the quantity behind a point can do (judged by `gateway.plausible`); None: anything."""

    max_rate: float | None = None
    """Units a second; faster is JUMPING, and of a counter a loss."""
    stuck_s: float | None = None
    """Standing still for longer is STUCK."""
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a device."""

    id: str
    """``device/name``, stable for the life of the installation."""
    name: str
    kind: Kind
    unit: str = ""
    """SenML unit (RFC 8428, 12.1) or a vendor's word where the registry has none."""
    cls: PointClass = PointClass.MEASUREMENT
    text: Text = Text("", "")
    low: float | None = None
    high: float | None = None
    """The instrument's range; a value outside is OUT_OF_RANGE (UNCERTAIN)."""
    dead_band: float = 0.0
    """Report by exception: a change of at most this is not reported before `longest_interval_s`."""
    longest_interval_s: float = 60.0
    labels: tuple[tuple[int, str], ...] = ()
    """For `Kind.ENUM`: value and label."""
    source: Any = None
    """Where the driver finds it: the driver's own frozen `At` object (see `drivers.contract.Driver.at`)."""
    role: str = ""
    """What it means to the rules of the library (`gateway.site.roles`); most points have none."""
    role_value: int | str = 1
    """The value at which a role that is a state is true: 0 for a contact the other way round, an enumeration's label."""
    plausible: Plausibility | None = None
    """None: nothing but its range is known of the quantity."""
    output: bool = False
    """It may be switched: by the outputs of the site file that name it, and by nothing else."""


@dataclass(frozen=True, slots=True)
class Group:
    """The points of a device that are read together, at one period. Index in `Device.groups` = `Scan.group`."""

    name: str
    points: tuple[Point, ...]
    period_s: float
    safety: bool = False
    """Polled before every group that is not."""


@dataclass(frozen=True, slots=True)
class Device:
    """A description of one device on a bus; holds no connection."""

    id: str
    bus: str
    driver: str
    address: int | str
    """Modbus unit id, instrument address, or the 12-character id of a terminal that speaks first."""
    groups: tuple[Group, ...]
    place: Place = Place()
    text: Text = Text("", "")
    options: Any = None
    """The driver's own frozen options object (see `drivers.contract.Driver.options`)."""
    simulated: bool = False
    cls: str = ""
    """What it is to the rules of the library (`gateway.site.roles`), as its template says."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one poll of one group yielded. `values` and `qualities` are in the group's point order."""

    device: str
    group: int
    at: float
    """Monotonic seconds at which the reply was complete (or the failure was known)."""
    values: tuple[Value, ...]
    qualities: bytes
    """One `Quality` a point; ``bytes(n)`` when all are good."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A view of one point in a scan."""

    point: str
    value: Value
    quality: Quality
    at: float


class AlarmClass(StrEnum):
    FIRE = "fire"
    PERSONAL = "personal"
    ENTRAPMENT = "entrapment"
    INTRUSION = "intrusion"
    LIFT = "lift"
    SLOPE = "slope"
    WATER = "water"
    FAULT = "fault"
    """Technical: a device, line, disk, clock, certificate or link."""


class Severity(IntEnum):
    """Ordered; 1 = blue 蓝, 2 = yellow 黄, 3 = orange 橙, 4 = red 红."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class State(StrEnum):
    """ISA-18.2 / IEC 62682 alarm states; the letters are the standard's."""

    NORMAL = "normal"  # A
    UNACKNOWLEDGED = "unacknowledged"  # B
    ACKNOWLEDGED = "acknowledged"  # C
    RETURNED = "returned"  # D: back to normal, not acknowledged
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"  # E
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"  # F
    SHELVED = "shelved"  # G
    SUPPRESSED = "suppressed"  # H, by design
    OUT_OF_SERVICE = "out_of_service"  # I


class Action(StrEnum):
    """What a person (or a signed message) can ask for."""

    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    TAKE_OUT = "take_out"
    """Out of service, for repair."""
    RETURN = "return"
    """To service."""
    DUTY_CHECK = "duty_check"
    """查岗; its subject is a device (`gateway.callers`), not an alarm."""
    ARM = "arm"
    """A partition (`rules.partition`); `Command.value`: mode, then the zones to go without."""
    DISARM = "disarm"
    LEVEL = "level"
    """The guard level (`rules.post`)."""
    SILENCE = "silence"
    """Sounders (`gateway.annunciator`), until something new calls; its subject is one of them, or empty for all.
    `Command.value`: classes of alarms, or empty for all."""


@dataclass(frozen=True, slots=True)
class Command:
    """The same path for a key, the control socket, the console and a signed message."""

    action: Action
    alarm: str
    who: str
    at: float
    why: str = ""
    for_s: float | None = None
    """How long: shelving, out of service."""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A cause of a transition: a delay of the rule ended at `at` (monotonic), with the sample that last held."""

    at: float
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rule looked at when it moved; bounded (`rules.evidence`)."""

    samples: tuple[Sample, ...]
    """Of the points that the condition looks at, the one that decided first, then those that speak for an alarm."""
    left_out: int
    """Points beyond the bound."""
    trend: tuple[Sample, ...]
    """What the first of `samples` was before, oldest first."""
    rule: str
    """Id and version in the library of rules; empty for a site's own."""
    crc: int
    """CRC-32 of the condition with its thresholds: the same number is the same rule."""
    when: Mapping[str, Any]
    """The condition with its thresholds, in the words of the site file."""


class Mark(StrEnum):
    """What else there is to say of a transition (`rules.load`)."""

    GROUPED = "grouped"
    FIRST_OUT = "first_out"
    CHATTERING = "chattering"
    FLEETING = "fleeting"


@dataclass(frozen=True, slots=True)
class FloodEdge:
    """A flood of alarms began or ended (`rules.flood`)."""

    begins: bool
    at: float
    since: float
    alarms: int
    """New ones so far, with those that made it a flood."""
    grouped: int
    first: str
    """The first alarm of it; empty when that was before a restart."""


@dataclass(frozen=True, slots=True)
class Transition:
    """An alarm changed its state; or, while it is aside, its condition came or went (`before` = `after`). Only on change."""

    alarm: str
    before: State
    after: State
    at: float
    cause: Sample | Deadline | Command
    since: float
    """Monotonic time at which the condition last became present; where it was not, at which the alarm left NORMAL."""
    present: bool = False
    """The condition is present (after its delays): what an alarm that is aside hides."""
    evidence: Evidence | None = None
    marks: tuple[Mark, ...] = ()


class Lane(StrEnum):
    ALARM = "alarm"
    TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before the journal gave it a sequence: what, and when it happened."""

    kind: str
    """CloudEvents type, such as ``gengfu.alarm.transition``; the list is in `gateway.wire.payloads`."""
    at: float
    """Monotonic seconds of this boot."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A journal entry; never changed once committed.

    The id is ``gateway/lane/journal.run/sequence``. `journal` is random per file and `run` random per opening, so an
    id that was announced but never reached the disk can never be given to another record.
    `sequence` goes on across runs of one file, without holes, so that a receiver sees every gap.
    """

    lane: Lane
    journal: str
    run: str
    sequence: int
    kind: str
    boot: str
    at: float
    wall: float
    trusted: bool
    """Whether `wall` came from a synchronised clock."""
    body: bytes
    crc: int
    """CRC-32 over all of the above."""
    previous: str = ""
    """Alarm lane: `digest` of the record before (hex SHA-256)."""
    digest: str = ""
    """Alarm lane: SHA-256 over `previous` and all of the above."""
    durable: bool = True
    """False when it was announced before the disk confirmed it (law 5)."""


class BusKind(StrEnum):
    SERIAL = "serial"
    TCP = "tcp"
    """One connection: to a Modbus TCP server, or to a serial server (`BusSpec.rtu`)."""
    LISTEN = "listen"
    """A port (TCP or UDP) on which devices call us."""


@dataclass(frozen=True, slots=True)
class BusSpec:
    """One line or socket of the site."""

    id: str
    kind: BusKind
    port: str = ""
    """Serial: device path."""
    baud: int = 9600
    parity: str = "N"
    """N, E or O."""
    stop_bits: int = 1
    echo: bool = False
    """The adapter returns our own request first."""
    host: str = ""
    tcp_port: int = 0
    reply_timeout_s: float = 0.5
    longest_silence_s: float = 0.0
    """Listen: a device that said nothing for this long is NOT_RESPONDING."""
    transport: str = "tcp"
    """Listen: tcp or udp."""
    allow: tuple[str, ...] = ()
    """Listen: addresses and networks that may call; all, when it is empty."""
    rtu: bool = False
    """TCP: a serial server; the frames are those of a serial line, of which `baud`, `parity` and `stop_bits` tell."""
    rs485: bool = False
    """Serial: the kernel's driver turns the transceiver round (RTS), where it can."""

    @property
    def speaks(self) -> BusKind:
        """Which frames travel on it; what `drivers.contract.Driver.open` is told."""
        return BusKind.SERIAL if self.rtu else self.kind


@dataclass(frozen=True, slots=True)
class UplinkSpec:
    """One way to a district."""

    id: str
    host: str
    port: int
    ca: str
    certificate: str
    key: str
    server_name: str = ""
    """Name expected in the broker's certificate; the host when empty."""
    receipts: bool = True
    """False is the explicit choice for a platform that gives no receipts: a PUBACK 0x00 settles."""
    keepalive_s: int = 10
    window: int = 20


@dataclass(frozen=True, slots=True)
class JournalSpec:
    directory: str
    alarm_quota_bytes: int = 64 * 1024 * 1024
    telemetry_quota_bytes: int = 512 * 1024 * 1024
    telemetry_commit_s: float = 1.0
    """A burst is committed 30 ms after its first scan, but at most once in this time."""


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """Report by exception; `by_exception` off sends every value of every scan."""

    by_exception: bool = True


@dataclass(frozen=True, slots=True)
class MetricsSpec:
    """Where Prometheus reads; see `gateway.metrics`."""

    host: str
    tcp_port: int


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    id: str
    place: Place = field(default_factory=Place)
    control_socket: str = ""
