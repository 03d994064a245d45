"""The alarms of one uplink: which one goes next, and what became of those that went. Synchronous.

Guarantees
* In order, each until it is settled (`gateway.link.delivery.Alarms`); what was never sent over this connection goes
  before what is sent again.
* No more bytes under way than come back quickly, but one record always: on a slow link none is late for its acknowledgement
  by those before it.
* With a disk that fails, new alarms go first; those it hid come up once it is back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from gateway.link.delivery import Alarms, Budget
from gateway.link.feed import Feed, Store
from gateway.model import Record, UplinkSpec
from gateway.wire import payloads
from gateway.wire.mqtt5 import NO_SUBSCRIBERS, SUCCESS

CATCH_UP_S = 5.0
"""How often to look whether the journal owes alarms that never came up: a failing disk gives the new ones first."""


class AlarmLane:
    """Across connections."""

    def __init__(
        self,
        spec: UplinkSpec,
        gateway: str,
        store: Store,
        on_stage: Callable[[Record, str], None],
        wake: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self.feed = Feed(store, wake)
        self.owed = Alarms(store.position(spec.id))
        self._uplink, self._receipts, self._gateway = spec.id, spec.receipts, gateway
        self._store, self._on_stage, self._counters = store, on_stage, counters
        self._caught_up_at = 0.0
        self._budget = Budget()

    def restart(self) -> None:
        """On a new connection."""
        self._budget = Budget()
        self.owed.restart()
        self.feed.restart(self._store.position(self._uplink))

    def pump(self, now: float) -> None:
        """Read on."""
        if now >= self._caught_up_at + CATCH_UP_S and self.feed.idle:
            self._caught_up_at = now
            if self._store.backlog(self._uplink) > len(self.owed.owed):
                self.feed.restart(self._store.position(self._uplink))
        self.feed.pump(now)

    def next(self, now: float) -> Record | None:
        """The oldest that was not yet sent on this connection, else one whose time has come again."""
        buffer = self.feed.buffer
        while buffer:
            if self.owed.wants(payloads.record_id(self._gateway, buffer[0]), buffer[0], now):
                return buffer[0]
            buffer.popleft()
        due = self.owed.due()
        if due is None or due > now:
            return None
        name, owed = self.owed.next()
        if owed.record and owed.record.durable:
            return owed.record
        read = self.feed.single(owed.sequence, now)
        if read is False:
            if owed.record:
                return owed.record
            self.owed.forget(name)  # if a failing disk hides it, `pump` brings it again
            self._counters["alarms_gone"] += 1
        return read if isinstance(read, Record) else None

    def fits(self, record: Record) -> bool:
        """Whether it may go now. By its body: the attributes of a window of records are less than the smallest budget."""
        return self._budget.fits(len(record.body))

    def take(self, record: Record, now: float) -> payloads.Message:
        """The one that `next` gave is tried now; `sent` when it went."""
        buffer = self.feed.buffer
        if buffer and buffer[0] is record:
            buffer.popleft()
        else:
            self._counters["alarms_repeated"] += 1
        self.owed.sent(payloads.record_id(self._gateway, record), record, now)
        return payloads.encode(record, self._gateway, {})

    def sent(self, size: int) -> None:
        """So many bytes are under way."""
        self._budget.used += size

    def acknowledged(self, record: Record, code: int, size: int, took_s: float, now: float) -> None:
        """The broker's PUBACK."""
        self._budget.acknowledged(size, took_s)
        name = payloads.record_id(self._gateway, record)
        if owed := self.owed.owed.get(name):
            owed.refused = code > NO_SUBSCRIBERS
        if code == NO_SUBSCRIBERS:
            self.owed.unheard(name, now)
        if code == SUCCESS:
            self.owed.heard(now)
            self._on_stage(record, "broker")
            if not self._receipts:
                self._settle(name)

    def receipt(self, names: Iterable[str]) -> None:
        """The district has these; names that nobody waits for are counted."""
        for name in names:
            known = name in self.owed.owed
            self._counters["receipts" if known else "receipts_unknown"] += 1
            if record := self._settle(name):
                self._on_stage(record, "district")

    def _settle(self, name: str) -> Record | None:
        owed = self.owed.settle(name)
        if owed is None:
            return None
        self._store.settle(self._uplink, [owed.sequence])
        self.owed.moved(self._store.position(self._uplink))
        return owed.record

    def status(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "alarms_without_receipt": len(self.owed.owed),
            "alarms_read_ahead": len(self.feed.buffer),
            "alarm_backlog": self._store.backlog(self._uplink),
            "alarm_position": self._store.position(self._uplink),
            "refused_alarms": [name for name, owed in self.owed.owed.items() if owed.refused],
        }
