"""What one uplink puts into its connection, and what it makes of the answers. Synchronous: it is pumped.

Guarantees
* Alarms first: a new alarm goes before every telemetry record, and never waits for a slot that telemetry holds; after
  `TURN` alarms in a row one telemetry record goes, so that it never starves.
* At most ``min(window, Receive Maximum)`` publishes are unacknowledged, and of each lane no more bytes than come back quickly.
* Each try of a record has the same id. What goes next within a lane, and when again, is the lane's own.
* A disk that hangs delays neither the other lane nor what comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.clock import Clock, housekeeping
from gateway.errors import LinkError
from gateway.link import mqtt
from gateway.link.alarm_lane import AlarmLane
from gateway.link.feed import Store
from gateway.link.telemetry_lane import TelemetryLane
from gateway.model import Lane, Record, UplinkSpec
from gateway.wire import mqtt5, pack, payloads

PUBACK_S = 10.0
TURN = 9
IDLE_S = 1.0
"""Longest sleep while something is due that only an event can set free."""
_ALARM = Lane.ALARM
"""Python finds a member of an enumeration by a call: too dear for each record."""


class Sent(NamedTuple):
    """Published and not acknowledged."""

    record: Record | None
    """None for our own status."""
    at: float
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
        self._spec, self._clock, self._puback_s = spec, clock, puback_s
        self._stores = (alarms, telemetry)
        self._receipt_topic = payloads.topic(gateway, "receipt") if spec.receipts else ""
        self._alarms = AlarmLane(spec, gateway, alarms, on_stage, wake, self.counters)
        self._telemetry = TelemetryLane(spec, gateway, telemetry, layouts, wake, self.counters, clock.monotonic())
        self._feeds = (self._alarms.feed, self._telemetry.feed)
        self._turn = 0

    def restart(self) -> None:
        """On a new connection."""
        self.in_flight.clear()
        self._turn = 0
        self._alarms.restart()
        self._telemetry.restart(self._clock.monotonic())

    def close(self) -> None:
        for feed in self._feeds:
            feed.close()

    # What goes

    def pump(self, session: mqtt.Session) -> float:
        """Send what may be sent; until when there is nothing to do unless woken. Raises `LinkError`."""
        now = self._clock.monotonic()
        oldest = next(iter(self.in_flight.values()), None)
        if oldest and now - oldest.at >= self._puback_s:
            raise LinkError(f"no acknowledgement for {self._puback_s:g} s")
        self._alarms.pump(now)
        self._telemetry.pump(now)
        window = min(self._spec.window, session.receive_maximum)
        while len(self.in_flight) < window and self._send_next(session, window, now):
            pass
        self._telemetry.settle()
        return self._deadline(now)

    def _deadline(self, now: float) -> float:
        oldest = next(iter(self.in_flight.values()), None)
        deadlines = [
            oldest.at + self._puback_s if oldest else None,
            self._alarms.owed.due(),
            *self._telemetry.deadlines(),
            *(feed.later() for feed in self._feeds),
        ]
        future = [at for at in deadlines if at is not None and at > now]
        overdue = any(at is not None and at <= now for at in deadlines)
        idle_until = now + IDLE_S if overdue else housekeeping(now + PUBACK_S)
        # At least a millisecond: a timer may fire a hair early, and must not come back for the same hair.
        return max(now + 0.001, min([*future, idle_until]))

    def _send_next(self, session: mqtt.Session, window: int, now: float) -> bool:
        """Publish one record, if one may go."""
        alarm = self._alarms.next(now)
        if alarm and self._turn < TURN:
            fits = self._alarms.fits(alarm)
            self._turn += fits
            return fits and self._send_alarm(session, alarm, now)
        ready = None
        if not self._alarms.feed.unread:  # on a new connection alarms come first; a disk that fails says so in a second
            ready = self._telemetry.next(max(1, window * 8 // 10), session.maximum_packet_bytes, now)
        if ready:
            self._turn = 0
            self._telemetry.take(ready)
            self.in_flight[session.publish(ready.message)] = Sent(ready.record, now, ready.size)
            return True
        return alarm is not None and self._alarms.fits(alarm) and self._send_alarm(session, alarm, now)

    def _send_alarm(self, session: mqtt.Session, record: Record, now: float) -> bool:
        message = self._alarms.take(record, now)
        size = message.size()
        if size > session.maximum_packet_bytes:
            self.counters["alarms_too_large"] += 1
        else:
            self.in_flight[session.publish(message)] = Sent(record, now, size)
            self._alarms.sent(size)
        return True

    def sent(self, mid: int) -> None:
        """Our own status was published."""
        self.in_flight[mid] = Sent(None, self._clock.monotonic(), 0)

    # What comes back

    def hear(self, session: mqtt.Session) -> None:
        """Raises `LinkError` when the connection has ended."""
        now = self._clock.monotonic()
        try:
            for event in session.take():
                if isinstance(event, mqtt.Acknowledged):
                    self._acknowledged(event.mid, event.code, now)
                elif isinstance(event, mqtt.Received):
                    self._received(event, now)
                else:
                    raise event.error
        finally:
            self._telemetry.settle()

    def _acknowledged(self, mid: int, code: int, now: float) -> None:
        sent = self.in_flight.pop(mid, None)
        if sent is None:
            self.counters["puback_unknown"] += 1
            return
        if code != mqtt5.SUCCESS:
            self.counters[f"puback_0x{code:02x}"] += 1
        if sent.record is None:
            return
        if sent.record.lane is _ALARM:
            self._alarms.acknowledged(sent.record, code, sent.size, now - sent.at, now)
        else:
            self._telemetry.acknowledged(sent.record, code, sent.size, now - sent.at, now)

    def _received(self, event: mqtt.Received, now: float) -> None:
        """A receipt, or whatever anybody sent to that topic: what is not expected is counted and forgotten."""
        if event.retained or event.topic != self._receipt_topic or not self._spec.receipts:
            self.counters["inbound_ignored"] += 1
            return
        try:
            receipt = payloads.read_receipt(event.payload)
        except payloads.ReceiptError:
            self.counters["inbound_malformed"] += 1
            return
        self._alarms.receipt(receipt.alarms)
        if receipt.journal:
            self._telemetry.receipt(receipt.journal, receipt.position, now)

    # For those who look

    def status(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "unsettled": sum(store.backlog(self._spec.id) for store in self._stores),
            "in_flight": len(self.in_flight),
            **self._alarms.status(),
            **self._telemetry.status(),
            "reads_failed": sum(feed.failed for feed in self._feeds),
            "counters": dict(sorted(self.counters.items())),
        }
