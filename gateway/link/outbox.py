"""What one uplink puts into its connection, and what it makes of the answers. Synchronous: it is pumped.

Guarantees
* Alarms first: a new alarm goes before every telemetry record, and never waits for a slot that telemetry holds; after
  `TURN` alarms in a row one telemetry record goes, so that it never starves. Alarms go in order.
* What settles a record, and what goes again when, is `gateway.link.delivery`'s; each try of a record has the same id.
* At most ``min(window, Receive Maximum)`` publishes are unacknowledged, and no more telemetry bytes than come back
  quickly, so that an alarm does not wait behind them on a slow link.
* A record that can never go over this connection (too large, unreadable) is set aside, counted and shown.
* A disk that hangs delays neither the other lane nor what comes back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import DeliveryError, LinkError
from gateway.link import mqtt
from gateway.link.delivery import Alarms, Budget, Telemetry
from gateway.link.feed import Feed, Source
from gateway.model import Draft, Lane, Record, UplinkSpec
from gateway.wire import pack, payloads

PUBACK_S = 10.0
TURN = 9
CATCH_UP_S = 5.0
"""How often to look whether the journal owes alarms that never came up: a failing disk gives the new ones first."""
IDLE_S = 1.0
"""Longest sleep while something is due that only an event can set free."""
TAKEN, NO_SUBSCRIBERS = 0x00, 0x10
NEVER = frozenset({0x95, 0x99})
"""Packet too large, payload format invalid: trying again does not help."""


class Store(Source, Protocol):
    """What an uplink needs of a `gateway.store.journal.Lane`, besides reading."""

    def position(self, uplink: str) -> int: ...
    def backlog(self, uplink: str) -> int: ...
    def settle(self, uplink: str, sequences: Iterable[int]) -> None: ...
    def settle_to(self, uplink: str, sequence: int) -> None: ...
    def state(self) -> Mapping[str, bytes]: ...
    def commit(self, drafts: Sequence[Draft], state: Mapping[str, bytes | None]) -> object: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """Published and not acknowledged."""

    record: Record | None
    """None for our own status."""
    at: float
    size: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The next telemetry record, encoded: its size decides whether it fits."""

    record: Record
    message: payloads.Message
    size: int


class Outbox:
    """The records of one uplink on their way, across its connections."""

    def __init__(
        self,
        spec: UplinkSpec,
        gateway: str,
        clock: Clock,
        alarms: Store,
        telemetry: Store,
        layouts: Mapping[int, pack.Layout],
        on_stage: Callable[[Record, str], None],
        wake: Callable[[], None],
        puback_s: float = PUBACK_S,
    ) -> None:
        """`wake` is called when a `pump` may find something new."""
        self.counters: Counter[str] = Counter()
        self.in_flight: dict[int, Sent] = {}
        self._spec, self._gateway, self._clock = spec, gateway, clock
        self._layouts, self._on_stage, self._puback_s = layouts, on_stage, puback_s
        self._stores = {Lane.ALARM: alarms, Lane.TELEMETRY: telemetry}
        self._feeds = {lane: Feed(store, wake) for lane, store in self._stores.items()}
        self._alarms = Alarms(alarms.position(spec.id))
        self._telemetry = Telemetry(telemetry.position(spec.id), spec.receipts)
        self._budget = Budget()
        self._under_way = 0
        """Of `in_flight`, those of telemetry."""
        self._ready: Ready | None = None
        self._follows = ("", 0)
        """Journal and sequence of the telemetry record that came up before."""
        self._turn = 0
        self._caught_up_at = 0.0
        self._stored_position = 0
        for sequence in json.loads(telemetry.state().get(self._aside_key, b"[]")):
            self._telemetry.refuse(sequence, "refused before the start", clock.monotonic(), final=True)

    def restart(self) -> None:
        """On a new connection."""
        self.in_flight.clear()
        self._under_way = 0
        self._budget, self._turn = Budget(), 0
        self._alarms.restart()
        self._feeds[Lane.ALARM].restart(self._position(Lane.ALARM))
        self._again(self._clock.monotonic())

    def close(self) -> None:
        for feed in self._feeds.values():
            feed.close()

    def pump(self, session: mqtt.Session) -> float:
        """Send what may be sent; until when there is nothing to do unless woken. Raises `LinkError`."""
        now = self._clock.monotonic()
        oldest = next(iter(self.in_flight.values()), None)
        if oldest and now - oldest.at >= self._puback_s:
            raise LinkError(f"no acknowledgement for {self._puback_s:g} s")
        if (stalls_at := self._telemetry.stalls_at()) is not None and now >= stalls_at:
            self.counters["telemetry_started_again"] += 1
            self._again(now)
        if self._position(Lane.TELEMETRY) < self._stored_position:
            self._again(now)  # a file that could not be read at the start is there again
        self._stored_position = self._position(Lane.TELEMETRY)
        self._catch_up(now)
        for feed in self._feeds.values():
            feed.pump(now)
        window = min(self._spec.window, session.receive_maximum)
        while len(self.in_flight) < window and self._send_next(session, window, now):
            pass
        return self._deadline(now)

    def _deadline(self, now: float) -> float:
        oldest = next(iter(self.in_flight.values()), None)
        retried = self._telemetry.retry()
        deadlines = [
            oldest.at + self._puback_s if oldest else None,
            retried[1] if retried else None,
            self._alarms.due(),
            self._telemetry.stalls_at(),
            *(feed.later() for feed in self._feeds.values()),
        ]
        future = [at for at in deadlines if at is not None and at > now]
        overdue = any(at is not None and at <= now for at in deadlines)
        # At least a millisecond: a timer may fire a hair early, and must not come back for the same hair.
        return max(now + 0.001, min([*future, now + (IDLE_S if overdue else PUBACK_S)]))

    def _catch_up(self, now: float) -> None:
        feed = self._feeds[Lane.ALARM]
        if now >= self._caught_up_at + CATCH_UP_S and feed.idle:
            self._caught_up_at = now
            if self._stores[Lane.ALARM].backlog(self._spec.id) > len(self._alarms.owed):
                feed.restart(self._position(Lane.ALARM))

    def _position(self, lane: Lane) -> int:
        return self._stores[lane].position(self._spec.id)

    def _again(self, now: float) -> None:
        """Telemetry from the settled position."""
        self._telemetry.restart(self._position(Lane.TELEMETRY), now)
        self._feeds[Lane.TELEMETRY].restart(self._telemetry.position)
        self._follows, self._ready = ("", 0), None

    # What goes next

    def _send_next(self, session: mqtt.Session, window: int, now: float) -> bool:
        """Publish one record, if one may go."""
        alarm = self._next_alarm(session, now)
        if alarm and self._turn < TURN:
            self._turn += 1
            return self._send_alarm(session, alarm, now)
        ready = self._next_telemetry(session, window, now)
        if ready:
            self._turn = 0
            self._ready = None
            self._budget.used += ready.size
            self.sent(session.publish(ready.message), ready.record, ready.size)
            return True
        return alarm is not None and self._send_alarm(session, alarm, now)

    def _next_alarm(self, session: mqtt.Session, now: float) -> Record | None:
        """The oldest that was not yet sent on this connection, else one whose time has come again."""
        buffer = self._feeds[Lane.ALARM].buffer
        while buffer:
            if self._alarms.wants(payloads.record_id(self._gateway, buffer[0]), buffer[0], now):
                return buffer[0]
            buffer.popleft()
        due = self._alarms.due()
        if due is None or due > now:
            return None
        name, owed = self._alarms.next()
        if owed.record and owed.record.durable:
            return owed.record
        read = self._feeds[Lane.ALARM].single(owed.sequence, now)
        if read is False:
            if owed.record:
                return owed.record
            self._alarms.forget(name)  # if a failing disk hides it, `_catch_up` brings it again
            self.counters["alarms_gone"] += 1
        return read if isinstance(read, Record) else None

    def _send_alarm(self, session: mqtt.Session, record: Record, now: float) -> bool:
        buffer = self._feeds[Lane.ALARM].buffer
        if buffer and buffer[0] is record:
            buffer.popleft()
        else:
            self.counters["alarms_repeated"] += 1
        message = payloads.encode(record, self._gateway, self._layouts)
        self._alarms.sent(payloads.record_id(self._gateway, record), record, now)
        if message.size() > session.maximum_packet_bytes:
            self.counters["alarms_too_large"] += 1
        else:
            self.sent(session.publish(message), record, message.size())
        return True

    def _next_telemetry(self, session: mqtt.Session, window: int, now: float) -> Ready | None:
        if self._feeds[Lane.ALARM].unread:
            return None  # on a new connection alarms come first; a disk that fails says so within a second
        if self._under_way >= max(1, window * 8 // 10):
            return None
        self._ready = self._ready or self._retried(session, now) or self._in_order(session, now)
        return self._ready if self._ready and self._budget.fits(self._ready.size) else None

    def _retried(self, session: mqtt.Session, now: float) -> Ready | None:
        """A refused record whose time has come."""
        retried = self._telemetry.retry()
        if retried is None or retried[1] > now:
            return None
        read = self._feeds[Lane.TELEMETRY].single(retried[0], now)
        if read is False:
            self._telemetry.gone(retried[0])
            self._remember_aside()
        if not isinstance(read, Record):
            return None
        self._telemetry.tried(read.sequence, now)
        return self._encode(session, read, None)

    def _in_order(self, session: mqtt.Session, now: float) -> Ready | None:
        buffer = self._feeds[Lane.TELEMETRY].buffer
        while buffer and self._telemetry.room():
            record = buffer.popleft()
            if self._telemetry.passes(record.sequence):
                continue
            ready = None
            if not self._telemetry.waits(record.sequence, now):
                journal, before = self._follows
                ready = self._encode(session, record, before if journal == record.journal else 0)
                if ready is None and self._telemetry.passes(record.sequence):
                    continue
            self._follows = (record.journal, record.sequence)
            if ready:
                self._telemetry.sent(record, ready.size, now)
                self._telemetry.tried(record.sequence, now)
                return ready
            self._telemetry.hold(record, now)
        return None

    def _encode(self, session: mqtt.Session, record: Record, follows: int | None) -> Ready | None:
        """None when it can never be sent over this connection: it is set aside."""
        try:
            message = payloads.encode(record, self._gateway, self._layouts, follows)
            size = message.size()
            if size <= session.maximum_packet_bytes:
                return Ready(record, message, size)
            words = f"too large for the broker: {size} bytes"
        except DeliveryError as error:
            words = str(error)
        self.counters["telemetry_unsendable"] += 1
        self._refuse(record.sequence, words, final=True)
        return None

    def sent(self, mid: int, record: Record | None, size: int) -> None:
        self.in_flight[mid] = Sent(record, self._clock.monotonic(), size)
        self._under_way += record is not None and record.lane is Lane.TELEMETRY

    # What comes back

    def hear(self, session: mqtt.Session) -> None:
        for event in session.take():
            if isinstance(event, mqtt.Acknowledged):
                self._acknowledged(event)
            elif isinstance(event, mqtt.Received):
                self._received(event)
            else:
                raise event.error

    def _acknowledged(self, event: mqtt.Acknowledged) -> None:
        sent = self.in_flight.pop(event.mid, None)
        if sent is None:
            self.counters["puback_unknown"] += 1
            return
        if event.code != TAKEN:
            self.counters[f"puback_0x{event.code:02x}"] += 1
        if sent.record is None:
            return
        now = self._clock.monotonic()
        if sent.record.lane is Lane.ALARM:
            self._alarm_acknowledged(sent.record, event.code)
            return
        self._under_way -= 1
        self._budget.acknowledged(sent.size, now - sent.at)
        if event.code == TAKEN:
            aside = self._telemetry.passes(sent.record.sequence)
            if self._telemetry.acknowledged(sent.record.sequence, now):
                self._stores[Lane.TELEMETRY].settle_to(self._spec.id, self._telemetry.position)
            if aside:
                self._remember_aside()
        elif event.code != NO_SUBSCRIBERS:
            self._refuse(sent.record.sequence, f"refused: 0x{event.code:02x}", final=event.code in (0x95, 0x99))

    def _alarm_acknowledged(self, record: Record, code: int) -> None:
        name = payloads.record_id(self._gateway, record)
        if owed := self._alarms.owed.get(name):
            owed.refused = code > NO_SUBSCRIBERS
        if code == NO_SUBSCRIBERS:
            self._alarms.unheard(name, self._clock.monotonic())
        if code == TAKEN:
            self._alarms.heard(self._clock.monotonic())
            self._on_stage(record, "broker")
            if not self._spec.receipts:
                self._settle_alarm(name)

    def _settle_alarm(self, name: str) -> Record | None:
        owed = self._alarms.settle(name)
        if owed is None:
            return None
        store = self._stores[Lane.ALARM]
        store.settle(self._spec.id, [owed.sequence])
        self._alarms.moved(store.position(self._spec.id))
        return owed.record

    def _refuse(self, sequence: int, words: str, *, final: bool) -> None:
        before = self._telemetry.passes(sequence)
        if self._telemetry.refuse(sequence, words, self._clock.monotonic(), final=final):
            self._stores[Lane.TELEMETRY].settle_to(self._spec.id, self._telemetry.position)
        if self._telemetry.passes(sequence) != before:
            self._remember_aside()

    def _remember_aside(self) -> None:
        """Set aside must outlive us: the position passes these records."""
        listed = json.dumps(self._telemetry.aside()).encode()
        self._stores[Lane.TELEMETRY].commit([], {self._aside_key: listed})

    @property
    def _aside_key(self) -> str:
        return f"refused/{self._spec.id}"

    def _received(self, event: mqtt.Received) -> None:
        """A receipt, or whatever anybody sent to that topic: what is not expected is counted and forgotten."""
        if event.retained or event.topic != payloads.topic(self._gateway, "receipt") or not self._spec.receipts:
            self.counters["inbound_ignored"] += 1
            return
        try:
            receipt = payloads.read_receipt(event.payload)
        except payloads.ReceiptError:
            self.counters["inbound_malformed"] += 1
            return
        for name in receipt.alarms:
            known = name in self._alarms.owed
            self.counters["receipts" if known else "receipts_unknown"] += 1
            if record := self._settle_alarm(name):
                self._on_stage(record, "district")
        if receipt.journal:
            moved = self._telemetry.receipt(receipt.journal, receipt.position, self._clock.monotonic())
            self.counters["positions" if moved else "positions_ignored"] += 1
            if moved:
                self._stores[Lane.TELEMETRY].settle_to(self._spec.id, self._telemetry.position)

    # For those who look

    def status(self) -> dict[str, object]:
        """Plain JSON values."""
        telemetry = self._telemetry
        waiting = {lane: len(feed.buffer) for lane, feed in self._feeds.items()}
        return {
            "unsettled": sum(store.backlog(self._spec.id) for store in self._stores.values()),
            "in_flight": len(self.in_flight),
            "alarms_without_receipt": len(self._alarms.owed),
            "alarms_read_ahead": waiting[Lane.ALARM],
            "alarm_backlog": self._stores[Lane.ALARM].backlog(self._spec.id),
            "alarm_position": self._position(Lane.ALARM),
            "telemetry_position": telemetry.position,
            "telemetry_without_receipt": len(telemetry.outstanding),
            "telemetry_read_ahead": waiting[Lane.TELEMETRY] + (self._ready is not None),
            "refused_records": {str(key): refused.reason for key, refused in telemetry.refused.items()},
            "refused_alarms": [name for name, owed in self._alarms.owed.items() if owed.refused],
            "reads_failed": sum(feed.failed for feed in self._feeds.values()),
            "counters": dict(sorted(self.counters.items())),
        }
