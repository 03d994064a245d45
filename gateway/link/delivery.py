"""What an uplink still owes the district: which record goes again when, and what a receipt settles. Pure.

Guarantees
* With receipts only a receipt for an id that was sent settles an alarm, and only a position that was reached settles
  telemetry. Without, only a PUBACK 0x00 does.
* An unsettled alarm comes up again `AGAIN_S` after its last try at the latest, whatever became of that try; so does a refused record,
  also across connections: never more than one try in that time.
* Telemetry beyond the settled position is bounded; where it does not move for `AGAIN_S`, it starts again from there.
* A refused telemetry record blocks nobody: it is set aside (the next one says with `follows` that it was passed over)
  and tried on; at most `ASIDE` of them, since where everything is refused nothing is wrong with the records.

It keeps no bodies but those of the latest unsettled alarms. It sends nothing and reads no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gateway.model import Record

AGAIN_S = 30.0
LISTEN_S = 2.0
"""Where nobody listens at the broker, one alarm is tried after this, then after twice as long, up to `AGAIN_S`."""
PACE_S = 0.1
"""Between repeats of alarms: a district that is away for long must not be flooded by those it knows not to have."""
KEPT = 1000
"""Unsettled alarms whose record stays in memory; those beyond are read again when it is their turn."""
BEYOND = 200
BEYOND_BYTES = 2 * 1024 * 1024
"""Telemetry sent and not settled: what a broker may have to queue for us, and what a loss repeats."""
ASIDE = 100
TRIES = 2
"""With receipts, a refused record is waited for this often before it is passed over: most refusals are of a moment."""
SLOW_BYTES = 16 * 1024
FAST_BYTES = 1024 * 1024


@dataclass(slots=True)
class Owed:
    """An alarm that was sent and is not settled."""

    sequence: int
    due: float
    record: Record | None
    refused: bool = False
    """By the broker, at the last try."""


class Alarms:
    """The alarm lane of one uplink."""

    def __init__(self, position: int) -> None:
        """`position`: everything up to it is settled."""
        self.owed: dict[str, Owed] = {}
        """By id, the next due first: each try puts it at the end."""
        self._settled: set[int] = set()
        self._position = position
        self._paced = 0.0
        self._unheard: dict[str, None] = {}
        """Those of `owed` to which the broker said that nobody listens; one is tried at `_listen_at`, to see."""
        self._listen_at = 0.0
        self._listen_s = LISTEN_S

    def sent(self, name: str, record: Record, now: float) -> None:
        self._unheard.pop(name, None)
        self.owed.pop(name, None)
        self.owed[name] = Owed(record.sequence, now + AGAIN_S, record if len(self.owed) < KEPT else None)
        self._paced = now

    def settle(self, name: str) -> Owed | None:
        """A receipt (or PUBACK) for an id; None when nothing is owed under it."""
        self._unheard.pop(name, None)
        owed = self.owed.pop(name, None)
        if owed:
            self._settled.add(owed.sequence)
        return owed

    def unheard(self, name: str, now: float) -> None:
        """The broker has nobody to give it to: a district that is not back yet. It soon may be."""
        if name in self.owed:
            self._unheard[name] = None
        if self._listen_at <= now:
            self._listen_at = now + self._listen_s
            self._listen_s = min(AGAIN_S, 2 * self._listen_s)

    def heard(self, now: float) -> None:
        """Somebody listens: the others go at once."""
        self._listen_at, self._listen_s = now, LISTEN_S

    def forget(self, name: str) -> None:
        """The journal does not give it; should it come up again, it is sent again."""
        self.owed.pop(name, None)

    def moved(self, position: int) -> None:
        """The lane's settled position, which lets us forget what is below."""
        if position > self._position:
            self._position = position
            self._settled = {sequence for sequence in self._settled if sequence > position}

    def wants(self, name: str, record: Record, now: float) -> bool:
        """Whether a record that comes up in order is to be sent: not when settled, nor when refused just now."""
        owed = self.owed.get(name)
        return record.sequence not in self._settled and not (owed and owed.due > now)

    def restart(self) -> None:
        """A new connection: all that is owed goes again at once and in order, but a refused one waits for its time."""
        self.owed = {name: owed for name, owed in self.owed.items() if owed.refused}
        self._unheard.clear()
        self._listen_at, self._listen_s = 0.0, LISTEN_S

    def due(self) -> float | None:
        """When the next repeat is due."""
        if not self.owed:
            return None
        _, first = self.next()
        return max(min(first.due, self._listen_at) if self._unheard else first.due, self._paced + PACE_S)

    def next(self) -> tuple[str, Owed]:
        name, first = next(iter(self.owed.items()))
        if self._unheard and self._listen_at < first.due:
            name = next(iter(self._unheard))
        return name, self.owed[name]


@dataclass(slots=True)
class Refused:
    """A record that the broker did not take."""

    reason: str
    tries: int
    due: float
    aside: bool = False


@dataclass(slots=True)
class Outstanding:
    journal: str
    sequence: int
    size: int
    done: bool = False


@dataclass(slots=True)
class Telemetry:
    """The telemetry lane of one uplink."""

    position: int
    """Everything up to it is settled."""
    receipts: bool
    refused: dict[int, Refused] = field(default_factory=dict)
    moved_at: float = 0.0
    outstanding: deque[Outstanding] = field(default_factory=deque)
    size: int = 0

    def room(self) -> bool:
        return len(self.outstanding) < BEYOND and self.size < BEYOND_BYTES

    def sent(self, record: Record, size: int, now: float) -> None:
        if not self.outstanding:
            self.moved_at = now
        self.outstanding.append(Outstanding(record.journal, record.sequence, size))
        self.size += size

    def acknowledged(self, sequence: int, now: float) -> bool:
        """PUBACK 0x00; True when it moved the position (never with receipts)."""
        refused = self.refused.get(sequence)
        if refused:
            del self.refused[sequence]
        return self._done(sequence, now)

    def refuse(self, sequence: int, reason: str, now: float, *, final: bool = False) -> bool:
        """The broker did not take it, or (`final`) never can; True when the position moved."""
        refused = self.refused.setdefault(sequence, Refused(reason, 0, now))
        refused.tries += 1
        refused.reason, refused.due = reason, now + AGAIN_S
        enough = final or not self.receipts or refused.tries >= TRIES
        if enough and not refused.aside and sum(other.aside for other in self.refused.values()) < ASIDE:
            refused.aside = True
            self.moved_at -= AGAIN_S * self.receipts  # the next ones must be sent anew, to say that it is passed over
        return refused.aside and self._done(sequence, now)

    def hold(self, record: Record, now: float) -> None:
        """Keep the place of a record that comes up in order and cannot go now: the position does not pass it."""
        self.sent(record, 0, now)

    def tried(self, sequence: int, now: float) -> None:
        """It goes (again): if it was refused before, not once more within `AGAIN_S`."""
        if refused := self.refused.get(sequence):
            refused.due = now + AGAIN_S

    def gone(self, sequence: int) -> None:
        """The journal no longer has a refused record."""
        self.refused.pop(sequence, None)

    def aside(self) -> list[int]:
        """The records that were set aside, oldest first."""
        return sorted(sequence for sequence, refused in self.refused.items() if refused.aside)

    def receipt(self, journal: str, position: int, now: float) -> bool:
        """The district's position; True when it moved ours: never beyond what was sent, never into another journal."""
        reached = self.position
        for outstanding in self.outstanding:
            if outstanding.journal != journal or outstanding.sequence > position:
                break
            reached = outstanding.sequence
        moved = reached > self.position
        if moved:
            self._settle(reached, now)
        return moved

    def passes(self, sequence: int) -> bool:
        """Whether a record that comes up in order is passed over: it is set aside."""
        refused = self.refused.get(sequence)
        return refused is not None and refused.aside

    def waits(self, sequence: int, now: float) -> bool:
        """Whether a record that comes up in order was refused just now: it goes again in its time, not in order."""
        refused = self.refused.get(sequence)
        return refused is not None and refused.due > now

    def restart(self, position: int, now: float) -> None:
        """A new connection, or no progress: everything beyond the settled position goes again."""
        self.position = position
        self.outstanding.clear()
        self.size = 0
        self.moved_at = now

    def stalls_at(self) -> float | None:
        """When to start again from the position, if it does not move."""
        return self.moved_at + AGAIN_S if self.outstanding else None

    def retry(self) -> tuple[int, float] | None:
        """The refused record that goes again next, and when."""
        if not self.refused:
            return None
        sequence = min(self.refused, key=lambda sequence: self.refused[sequence].due)
        return sequence, self.refused[sequence].due

    def _done(self, sequence: int, now: float) -> bool:
        if self.receipts:
            return False
        for outstanding in self.outstanding:
            if outstanding.sequence == sequence:
                outstanding.done = True
                break
        before = self.position
        while self.outstanding and self.outstanding[0].done:
            self._settle(self.outstanding[0].sequence, now)
        return self.position > before

    def _settle(self, position: int, now: float) -> None:
        self.position, self.moved_at = position, now
        while self.outstanding and self.outstanding[0].sequence <= position:
            self.size -= self.outstanding.popleft().size
        if self.refused:
            past = [key for key, refused in self.refused.items() if key <= position and not refused.aside]
            for sequence in past:
                del self.refused[sequence]


@dataclass(slots=True)
class Budget:
    """How many bytes of a lane may be under way: what a new alarm may have to wait behind, and each acknowledgement too, which
    has its time-out. On a slow link a window of records alone would be more than passes within that.

    Starts at one pack, which is as much as the largest alarm; grows by what came back quickly, halves when an acknowledgement
    takes over a second.
    """

    allowed: int = SLOW_BYTES
    used: int = 0

    def fits(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self.allowed

    def acknowledged(self, size: int, took_s: float) -> None:
        self.used -= size
        if took_s < 0.3:
            self.allowed = min(FAST_BYTES, self.allowed + size)
        elif took_s > 1.0:
            self.allowed = max(SLOW_BYTES, self.allowed // 2)
