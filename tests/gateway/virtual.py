"""Virtual time for the uplink's tests: a clock on the loop, lanes that commit inline, a broker and a district in memory.

The broker speaks no MQTT: it stands behind the seam `gateway.link.mqtt.Connect`. The bytes are `tests/fake_broker.py`'s.
"""

import asyncio
import json
from dataclasses import dataclass, field, replace

from gateway.errors import LinkError
from gateway.link import mqtt
from gateway.link.uplink import Uplink
from gateway.model import Draft, Kind, Lane, Point, Scan, UplinkSpec
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.wire import pack, payloads

SPEC = UplinkSpec("district", "broker.invalid", 8883, "", "", "")
LAYOUT = pack.Layout("dev-1", 0, (Point("dev-1/t", "t", Kind.FLOAT, "Cel"),))


class LoopClock:
    """The running loop's time; wall time runs along."""

    boot = "b" * 32

    def __init__(self):
        self.loop = asyncio.get_running_loop()

    def monotonic(self):
        """Also asked by the journal's thread."""
        return self.loop.time()

    def wall(self):
        return 1.79e9 + self.monotonic()

    def trusted(self):
        return True

    def behind(self):
        return False

    def hold(self, floor):
        """This one has no floor."""

    def call_at(self, at, callback):
        return self.loop.call_at(at, callback)

    async def sleep_until(self, at):
        await asyncio.sleep(max(0.0, at - self.monotonic()))


@dataclass
class Published:
    at: float
    connection: int
    message: payloads.Message
    retain: bool

    @property
    def id(self):
        return dict(self.message.properties).get("id", self.message.topic)

    @property
    def lane(self):
        return dict(self.message.properties).get("lane", "status")

    @property
    def sequence(self):
        return int(dict(self.message.properties)["sequence"])

    @property
    def follows(self):
        return int(dict(self.message.properties)["follows"])


def taken(published):
    return 0x00


@dataclass
class Broker:
    """`answer(published)` gives the PUBACK's code, or None for none. With `district`, what was taken is receipted."""

    answer: object = taken
    latency_s: float = 0.01
    receive_maximum: int = 20
    maximum_packet_bytes: int = 268_435_455
    district: bool = True
    refusal: LinkError | None = None
    published: list = field(default_factory=list)
    dials: list = field(default_factory=list)
    stored: dict = field(default_factory=dict)
    session: object = None
    track: set = field(default_factory=set)
    told: int = 0

    async def connect(self, dial):
        self.dials.append((asyncio.get_running_loop().time(), dial))
        if self.refusal:
            raise self.refusal
        self.session = ScriptedSession(self, dial)
        return self.session

    def cut(self):
        self.session.tell(mqtt.Closed(LinkError("cut")))

    def of(self, lane):
        return [published for published in self.published if published.lane == lane]

    def receive(self, published, session):
        """The district's side: stored by id; alarms receipted at once, telemetry by position."""
        name = published.id
        if published.lane == "status":
            return
        self.stored[name] = published
        if not self.district:
            return
        if published.lane == "alarm":
            self.receipt({"alarms": [name]}, session)
        else:
            self.track |= set(range(published.follows + 1, published.sequence + 1))
            while self.told + 1 in self.track:
                self.told += 1
            journal = dict(published.message.properties)["journal"]
            self.receipt({"telemetry": {"journal": journal, "position": self.told}}, session)

    def receipt(self, content, session=None, *, retained=False, topic=None):
        session = session or self.session
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        session.tell(mqtt.Received(topic or session.dial.subscribe, body, retained))


class ScriptedSession:
    tls = "TLSv1.3"

    def __init__(self, broker, dial):
        self.broker, self.dial = broker, dial
        self.receive_maximum, self.maximum_packet_bytes = broker.receive_maximum, broker.maximum_packet_bytes
        self.number = len(broker.dials)
        self.events, self.in_flight, self.most_in_flight = [], 0, 0
        self.mid, self.closed, self.left = 0, False, False

    def publish(self, message, *, retain=False):
        loop = asyncio.get_running_loop()
        self.mid += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        published = Published(loop.time(), self.number, message, retain)
        self.broker.published.append(published)
        code = self.broker.answer(published)
        if code is not None:
            loop.call_later(self.broker.latency_s, self.acknowledge, self.mid, code, published)
        return self.mid

    def acknowledge(self, mid, code, published):
        if not self.closed:
            self.in_flight -= 1
            self.tell(mqtt.Acknowledged(mid, code))
            if code == 0:
                self.broker.receive(published, self)

    def tell(self, event):
        if not self.closed:
            self.events.append(event)
            self.dial.wake()

    def take(self):
        events, self.events = self.events, []
        return events

    async def leave(self):
        self.left = True

    def close(self):
        self.closed = True


class Bench:
    """A gateway's journal with one uplink; `async with` runs it."""

    def __init__(self, directory, broker, *, spec=SPEC, random=lambda: 0.5, worker=InlineWorker, **options):
        """`broker`: anything with a `connect`, which is the seam."""
        self.clock, self.broker, self.stages = LoopClock(), broker, []
        digits = iter(range(1, 1000))
        self.lanes = {
            lane: Journal(
                lane, directory / f"{lane}.sqlite", "demo-01", self.clock, worker(), 64 * 2**20,
                lambda n: f"{next(digits):0{2 * n}x}",
            )
            for lane in Lane
        }  # fmt: skip
        self.spec, self.random, self.options = spec, random, options

    async def __aenter__(self):
        for lane in self.lanes.values():
            await lane.open()
        telemetry = self.lanes[Lane.TELEMETRY]
        self.uplink = Uplink(
            self.spec, "demo-01", self.clock, self.lanes[Lane.ALARM], telemetry, pack.Layouts(telemetry.state),
            self.random, self.broker.connect, lambda record, stage: self.stages.append((record.sequence, stage)),
            **self.options,
        )  # fmt: skip
        self.task = asyncio.ensure_future(self.uplink.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for lane in self.lanes.values():
            await lane.close()
        assert self.task.cancelled() or not self.task.exception(), self.task.exception()

    def alarm(self, count=1, body=b"{}"):
        now = self.clock.monotonic()
        return [self.lanes[Lane.ALARM].commit([Draft(payloads.RUN, now, body)])[0] for _ in range(count)]

    def telemetry(self, count=1, body=None):
        now = self.clock.monotonic()
        body = body or pack.encode([(LAYOUT, Scan("dev-1", 0, now, (21.5,), b"\0"), None)])
        state = {f"layout/{LAYOUT.id}": LAYOUT.to_json()}
        drafts = [Draft(payloads.PACK, now, body)] * count
        return self.lanes[Lane.TELEMETRY].commit(drafts, state)

    def status(self):
        return self.uplink.status()

    def position(self, lane=Lane.TELEMETRY):
        return self.lanes[lane].position(self.spec.id)


def without_receipts():
    return replace(SPEC, receipts=False)
