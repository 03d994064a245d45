"""The telemetry of one uplink: which record goes next, and what became of those that went. Synchronous.

Guarantees
* In order from the settled position (`gateway.link.delivery.Telemetry`), each with the sequence that it follows.
* No more bytes under way than come back quickly, so that an alarm does not wait behind them on a slow link.
* A record that can never go over this connection (too large, unreadable) is set aside, counted and shown.
* The journal is told a new position once a batch of answers, not once a record.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from gateway.errors import DeliveryError
from gateway.link.delivery import Budget, Telemetry
from gateway.link.feed import Feed, Store
from gateway.model import Record, UplinkSpec
from gateway.wire import pack, payloads
from gateway.wire.mqtt5 import NO_SUBSCRIBERS, SUCCESS

NEVER = frozenset({0x95, 0x99})
"""Packet too large, payload format invalid: trying again does not help."""


class Ready(NamedTuple):
    """The next record, encoded: its size decides whether it fits."""

    record: Record
    message: payloads.Message
    size: int


class TelemetryLane:
    """Across connections."""

    def __init__(
        self,
        spec: UplinkSpec,
        gateway: str,
        store: Store,
        layouts: Mapping[int, pack.Layout],
        wake: Callable[[], None],
        counters: Counter[str],
        now: float,
    ) -> None:
        self.feed = Feed(store, wake)
        self.owed = Telemetry(store.position(spec.id), spec.receipts)
        self._uplink, self._gateway, self._store = spec.id, gateway, store
        self._layouts, self._counters = layouts, counters
        self._budget = Budget()
        self._under_way = 0
        """Published and not acknowledged."""
        self._ready: Ready | None = None
        self._follows = ("", 0)
        """Journal and sequence of the record that came up before."""
        self._stored_position = 0
        self._moved = False
        """The position is one that the journal was not told."""
        self._aside_key = f"refused/{spec.id}"
        for sequence in json.loads(store.state().get(self._aside_key, b"[]")):
            self.owed.refuse(sequence, "refused before the start", now, final=True)

    def restart(self, now: float) -> None:
        """On a new connection."""
        self._under_way, self._budget = 0, Budget()
        self._again(now)

    def pump(self, now: float) -> None:
        """Read on; or again, from the settled position, where that does not move."""
        stalls_at = self.owed.stalls_at()
        if stalls_at is not None and now >= stalls_at:
            self._counters["telemetry_started_again"] += 1
            self._again(now)
        position = self._store.position(self._uplink)
        if position < self._stored_position:
            self._again(now)  # a file that could not be read at the start is there again
        self._stored_position = position
        self.feed.pump(now)

    def deadlines(self) -> Iterator[float | None]:
        """When something may be due."""
        retried = self.owed.retry()
        yield retried[1] if retried else None
        yield self.owed.stalls_at()

    def next(self, most: int, maximum_packet_bytes: int, now: float) -> Ready | None:
        """What may go now, with at most `most` under way."""
        if self._under_way >= most:
            return None
        if self._ready is None:
            self._ready = self._retried(maximum_packet_bytes, now) or self._in_order(maximum_packet_bytes, now)
        return self._ready if self._ready and self._budget.fits(self._ready.size) else None

    def take(self, ready: Ready) -> None:
        """It goes: the one that `next` gave."""
        self._ready = None
        self._under_way += 1
        self._budget.used += ready.size

    def acknowledged(self, record: Record, code: int, size: int, took_s: float, now: float) -> None:
        """The broker's PUBACK. `settle` tells the journal."""
        self._under_way -= 1
        self._budget.acknowledged(size, took_s)
        if code == SUCCESS:
            aside = self.owed.passes(record.sequence)
            self._moved |= self.owed.acknowledged(record.sequence, now)
            if aside:
                self._remember_aside()
        elif code != NO_SUBSCRIBERS:
            self._refuse(record.sequence, f"refused: 0x{code:02x}", now, final=code in NEVER)

    def receipt(self, journal: str, position: int, now: float) -> None:
        """The district has everything of that journal up to there. `settle` tells the journal."""
        moved = self.owed.receipt(journal, position, now)
        self._moved |= moved
        self._counters["positions" if moved else "positions_ignored"] += 1

    def settle(self) -> None:
        if self._moved:
            self._moved = False
            self._store.settle_to(self._uplink, self.owed.position)

    def _again(self, now: float) -> None:
        """From the settled position."""
        self.settle()
        self.owed.restart(self._store.position(self._uplink), now)
        self.feed.restart(self.owed.position)
        self._follows, self._ready = ("", 0), None

    def _retried(self, maximum_packet_bytes: int, now: float) -> Ready | None:
        """A refused record whose time has come."""
        retried = self.owed.retry()
        if retried is None or retried[1] > now:
            return None
        read = self.feed.single(retried[0], now)
        if read is False:
            self.owed.gone(retried[0])
            self._remember_aside()
        if not isinstance(read, Record):
            return None
        self.owed.tried(read.sequence, now)
        return self._encode(read, None, maximum_packet_bytes, now)

    def _in_order(self, maximum_packet_bytes: int, now: float) -> Ready | None:
        buffer = self.feed.buffer
        while buffer and self.owed.room():
            record = buffer.popleft()
            if self.owed.passes(record.sequence):
                continue
            ready = None
            if not self.owed.waits(record.sequence, now):
                journal, before = self._follows
                follows = before if journal == record.journal else 0
                ready = self._encode(record, follows, maximum_packet_bytes, now)
                if ready is None and self.owed.passes(record.sequence):
                    continue
            self._follows = (record.journal, record.sequence)
            if ready:
                self.owed.sent(record, ready.size, now)
                self.owed.tried(record.sequence, now)
                return ready
            self.owed.hold(record, now)
        return None

    def _encode(self, record: Record, follows: int | None, maximum_packet_bytes: int, now: float) -> Ready | None:
        """None when it can never be sent over this connection: it is set aside."""
        try:
            message = payloads.encode(record, self._gateway, self._layouts, follows)
            size = message.size()
            if size <= maximum_packet_bytes:
                return Ready(record, message, size)
            words = f"too large for the broker: {size} bytes"
        except DeliveryError as error:
            words = str(error)
        self._counters["telemetry_unsendable"] += 1
        self._refuse(record.sequence, words, now, final=True)
        return None

    def _refuse(self, sequence: int, words: str, now: float, *, final: bool) -> None:
        before = self.owed.passes(sequence)
        self._moved |= self.owed.refuse(sequence, words, now, final=final)
        if self.owed.passes(sequence) != before:
            self._remember_aside()

    def _remember_aside(self) -> None:
        """Set aside must outlive us: the position passes these records."""
        self._store.commit([], {self._aside_key: json.dumps(self.owed.aside()).encode()})

    def status(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "telemetry_position": self.owed.position,
            "telemetry_without_receipt": len(self.owed.outstanding),
            "telemetry_read_ahead": len(self.feed.buffer) + (self._ready is not None),
            "refused_records": {str(key): refused.reason for key, refused in self.owed.refused.items()},
        }
