"""The broker and the district behind the seam `gateway.link.mqtt.Connect`, and what can go wrong between.

The district's side is the reference receiver's own store and reading of messages (`district`), written from the payload
reference alone; only its transport is replaced. What each mode does to a message or a receipt is said in `MODES`.
"""

from collections import Counter

from district import record
from district.receiver import Positions, receipts
from district.store import Arrival, Rejected, Store
from gateway.errors import LinkError
from gateway.link import mqtt

MODES = (
    "unreachable",  # no connection; one that stands breaks
    "denied",  # refused: a certificate, a permission
    "half_open",  # a connection that says nothing any more, until keep-alive ends it
    "slow",  # seconds for each way
    "acks_lost",  # half of the PUBACKs
    "forgetful",  # a PUBACK, but some messages go no further
    "refusing",  # PUBACK with a reason code for some
    "nobody",  # no subscriber: 0x10, and nothing is delivered
    "doubling",  # each message twice, later and out of order
    "flapping",  # cut every few seconds
    "receipts_lost",
    "receipts_late",
    "receipts_twice",
    "away",  # the district: messages wait for it
)
KEEPALIVE_S = 20.0
LATENCY_S = 0.02
STORE_S = 0.05
POSITIONS_S = 2.0


class Broker:
    """With its district."""

    def __init__(self, world, path):
        self._world = world
        self._chance = world.chance("broker")
        self.store = Store(path)
        self.modes = set()
        self._session = None
        self._inbox = []
        self._storing = False
        self._positions = Positions()
        self._telling = False
        self.counts = Counter()
        self.heard = lambda message: None
        """Told of each record that the district stores, in order."""

    def close(self):
        self.store.close()

    def set(self, *modes):
        self.modes = set(modes)
        session = self._session
        if session is not None and self.modes & {"unreachable", "denied"}:
            self.cut("cut")
        if session is not None and "half_open" in self.modes:
            self._world.after(KEEPALIVE_S, lambda: self._ended(session))
        if "flapping" in self.modes:
            self._flap()
        if "away" not in self.modes:
            self._store_soon()

    def cut(self, why):
        session, self._session = self._session, None
        if session is not None:
            session.tell(mqtt.Closed(LinkError(why)))
            session.dead = True

    def _ended(self, session):
        if session is self._session:
            self.cut("keep-alive")

    def _flap(self):
        if "flapping" in self.modes:
            self.cut("flapped")
            self._world.after(self._chance.uniform(0.5, 8.0), self._flap)

    # -- the gateway's side --------------------------------------------------------------------------------------------

    async def connect(self, dial):
        self._world.tell("dial", *sorted(self.modes))
        await dial.clock.sleep_until(dial.clock.monotonic() + 0.05)
        if "denied" in self.modes:
            raise LinkError("not authorised", refused=True)
        if self.modes & {"unreachable", "half_open"}:
            await dial.clock.sleep_until(dial.clock.monotonic() + self._chance.choice((0.0, 5.0)))
            raise LinkError("no route")
        if self._session is not None:
            self.cut("taken over")
        self._session = session = Session(self, dial)
        return session

    def published(self, session, mid, message, retain):
        if session.dead:
            return
        self.counts["published"] += 1
        self._world.tell("publish", session.number, mid, dict(message.properties).get("id", "status"))
        modes = self.modes
        if "half_open" in modes:
            return
        latency_s = self._chance.uniform(1.0, 6.0) if "slow" in modes else LATENCY_S
        code, goes = 0x00, True
        if "nobody" in modes:
            code, goes = 0x10, False
        elif "refusing" in modes and self._chance.random() < 0.4:
            code, goes = self._chance.choice((0x87, 0x97, 0x83)), False
        elif "forgetful" in modes and self._chance.random() < 0.4:
            goes = False
        if "acks_lost" not in modes or self._chance.random() < 0.5:
            self._world.after(latency_s, lambda: session.tell(mqtt.Acknowledged(mid, code)))
        if goes:
            self._world.after(latency_s / 2, lambda: self._deliver(message))
            if "doubling" in modes:
                self._world.after(latency_s / 2 + self._chance.uniform(0.1, 20.0), lambda: self._deliver(message))

    def tell(self, topic, body):
        """A receipt on its way down."""
        copies = 2 if "receipts_twice" in self.modes else 1
        for _ in range(copies):
            if "receipts_lost" in self.modes and self._chance.random() < 0.6:
                continue
            late_s = self._chance.uniform(1.0, 40.0) if "receipts_late" in self.modes else LATENCY_S
            self._world.after(late_s, lambda: self._down(topic, body))

    def _down(self, topic, body):
        session = self._session
        if session is not None and "half_open" not in self.modes:
            session.tell(mqtt.Received(topic, body, False))

    # -- the district --------------------------------------------------------------------------------------------------

    def _deliver(self, message):
        self._inbox.append(message)
        self._store_soon()

    def _store_soon(self):
        if self._inbox and not self._storing and "away" not in self.modes:
            self._storing = True
            self._world.after(STORE_S, self._store)

    def _store(self):
        self._storing = False
        if "away" in self.modes:
            return
        messages, self._inbox = self._inbox[:200], self._inbox[200:]
        arrivals = [self._read(message) for message in messages]
        outcome = self.store.commit(arrivals)
        for arrival in arrivals:
            if isinstance(arrival.what, record.Record):
                self.heard(arrival.what)
        self._positions.add(outcome)
        for gateway, body in receipts(outcome):
            self.tell(f"gengfu/v1/{gateway}/receipt", body)
        if self._positions.due.is_set():
            self._tell_positions()
        elif not self._telling:
            self._telling = True
            self._world.after(POSITIONS_S, self._tell_positions)
        self._store_soon()

    def _tell_positions(self):
        self._telling = False
        for gateway, body in self._positions.take():
            self.tell(f"gengfu/v1/{gateway}/receipt", body)

    def _read(self, message):
        at = self._world.wall()
        try:
            if message.topic.endswith("/status"):
                return Arrival(at, record.parse_status(message.topic, message.body))
            return Arrival(at, record.parse(message.topic, message.content_type, message.properties, message.body))
        except record.Malformed as reason:
            return Arrival(at, Rejected(message.topic, str(reason), message.properties, message.body))


class Session:
    """One connection; `gateway.link.mqtt.Session`."""

    tls = "TLSv1.3"
    receive_maximum = 20
    maximum_packet_bytes = 268_435_455

    def __init__(self, broker, dial):
        self._broker, self._dial = broker, dial
        self.number = broker.counts["sessions"] = broker.counts["sessions"] + 1
        self._events = []
        self._mid = 0
        self.dead = False

    def publish(self, message, *, retain=False):
        self._mid += 1
        self._broker.published(self, self._mid, message, retain)
        return self._mid

    def tell(self, event):
        if not self.dead:
            self._events.append(event)
            self._dial.wake()

    def take(self):
        events, self._events = self._events, []
        return events

    async def leave(self):
        self.close()

    def close(self):
        self.dead = True
        if self._broker._session is self:
            self._broker._session = None
