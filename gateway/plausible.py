"""Points that cannot lie: what one reply cannot show, judged over several, for all drivers alike. Pure.

A driver judges a reply by itself (`drivers.quality`: range, not a number). Here every scan passes before anybody else sees it,
and a value that the quantity cannot have becomes UNCERTAIN: it keeps its value, may raise, never clears (law 1).

* `max_rate`: JUMPING. Held against the last value that was believed: a change of at most ``max_rate x time + dead band`` is
  believed. So a single glitch is one uncertain sample, and what goes on falling stays uncertain. A new level is believed when
  `AGREE` further samples in a row agree with it.
* `stuck_s`: STUCK. The same value, to the digit, for so long; a pause of the samples longer than that begins the count anew.
* `counter`: the value becomes a total that never falls. It goes on over a wrap; at a step that the counter cannot have made
  in the time (a reset, an exchange of the device) it stands, COUNT_LOST, and goes on from there. A counter that reading
  clears is added up; the first reading after an answer that was lost is COUNT_LOST: the device may have cleared what
  nobody got.
* `double`: another device answers for the address: DOUBLE_ADDRESS for `DOUBLE_S` after each proof.

Guarantees
* Only a group with such a declaration costs more than one look into a table.
* BAD stays BAD, and no quality that a driver gave is improved. Never raises for what a scan holds.
* Nothing is known at boot: the first value after a start is believed, and a total begins at the device's own reading.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from math import inf

from gateway.model import Counter, Group, Kind, Plausibility, Point, Quality, Scan, Value

AGREE = 3
DOUBLE_S = 60.0
_GOOD, _UNSEEN = int(Quality.GOOD), frozenset((Quality.NOT_YET, Quality.REFUSED, Quality.NO_SUCH_REGISTER))
"""`_UNSEEN`: the device was not read, or said that it gave nothing: no count was cleared."""
_NUMBERS = (Kind.INT, Kind.FLOAT)
_LARGEST = 1e300
"""No quantity; NaN and infinity, too, are others' to judge."""


class Plausible:
    """Remembers of each watched point what it needs to judge the next value."""

    def __init__(self, groups: Mapping[tuple[str, int], Group]) -> None:
        watched = {
            key: tuple(
                (index, point.id, _Watch(point, point.plausible))
                for index, point in enumerate(group.points)
                if point.plausible and point.kind in _NUMBERS
            )
            for key, group in groups.items()
        }
        self._watched = {key: watches for key, watches in watched.items() if watches}
        self._doubled: dict[str, float] = {}
        """Device -> until when it is doubted."""
        self._doubtful: set[tuple[str, int]] = set()
        self._tally: Tally[tuple[str, int]] = Tally()
        """How many values of a point were judged so, since the start."""

    def succeed(self, other: Plausible, same: frozenset[tuple[str, int]]) -> None:
        """Go on where that of another site stands: totals, last believed values, doubts about groups that are the `same`."""
        for key in self._watched.keys() & other._watched.keys() & same:
            self._watched[key] = other._watched[key]
        devices = {device for device, _ in same}
        self._doubled = {device: until for device, until in other._doubled.items() if device in devices}
        self._doubtful = {key for key in other._doubtful if key in same}
        self._tally = other._tally

    def judge(self, scan: Scan) -> Scan:
        """The scan as it is to be believed; the same object where there is nothing to say."""
        watches = self._watched.get((scan.device, scan.group))
        if watches:
            scan = self._watch(scan, watches)
        return self._double(scan) if self._doubled else scan

    def double(self, device: str, at: float) -> bool:
        """It was proved that more than one device answers for this one's address. Whether that is news."""
        news = device not in self._doubled
        self._doubled[device] = at + DOUBLE_S
        return news

    def doubtful(self) -> bool:
        """Whether any device has a value that is not believed, in its latest scan."""
        return bool(self._doubtful or self._doubled)

    def status(self) -> dict[str, object]:
        """Plain values for the console and metrics."""
        judged: dict[str, dict[str, int]] = {}
        for (point, quality), count in sorted(self._tally.items()):
            judged.setdefault(point, {})[Quality(quality).label] = count
        return {"judged": judged, "double_addresses": sorted(self._doubled)}

    def _watch(self, scan: Scan, watches: tuple[tuple[int, str, _Watch], ...]) -> Scan:
        if not len(scan.values) == len(scan.qualities) > watches[-1][0]:
            return scan  # of another shape than its group: the rules call it BAD as a whole
        values: list[Value] | None = None
        qualities: bytearray | None = None
        doubts = False
        for index, point, watch in watches:
            value = scan.values[index]
            kept, quality = watch.judge(value, scan.qualities[index], scan.at)
            if kept != value:
                values = list(scan.values) if values is None else values
                values[index] = kept
            if quality != scan.qualities[index]:
                qualities = bytearray(scan.qualities) if qualities is None else qualities
                qualities[index] = quality
                self._tally[point, quality] += 1
                doubts = True
        (self._doubtful.add if doubts else self._doubtful.discard)((scan.device, scan.group))
        if values is None and qualities is None:
            return scan
        return Scan(
            scan.device,
            scan.group,
            scan.at,
            scan.values if values is None else tuple(values),
            scan.qualities if qualities is None else bytes(qualities),
        )

    def _double(self, scan: Scan) -> Scan:
        until = self._doubled.get(scan.device)
        if until is None:
            return scan
        if scan.at >= until:
            del self._doubled[scan.device]
            return scan
        marked = scan.qualities.replace(bytes((Quality.GOOD,)), bytes((Quality.DOUBLE_ADDRESS,)))
        self._tally[f"{scan.device}/*", Quality.DOUBLE_ADDRESS] += scan.qualities.count(Quality.GOOD)
        return Scan(scan.device, scan.group, scan.at, scan.values, marked)


class _Watch:
    """One point."""

    __slots__ = ("count", "rate", "stuck")

    def __init__(self, point: Point, limits: Plausibility) -> None:
        counter, rate = limits.counter, limits.max_rate
        self.count = _Count(counter, rate) if counter else None
        self.rate = _Rate(rate, point.dead_band) if rate is not None and not counter else None
        self.stuck = _Stuck(limits.stuck_s) if limits.stuck_s is not None else None

    def judge(self, value: Value, quality: int, at: float) -> tuple[Value, int]:
        if quality != _GOOD or not isinstance(value, (int, float)) or not -_LARGEST < value < _LARGEST:
            if self.count is not None and value is None and quality not in _UNSEEN:
                self.count.missed()
            return value, quality
        if self.count is not None:
            value, lost = self.count.total(value, at)
            quality = Quality.COUNT_LOST if lost else quality
        if self.rate is not None and self.rate.jumps(value, at):
            quality = Quality.JUMPING
        if self.stuck is not None and self.stuck.stands(value, at) and quality == _GOOD:
            quality = Quality.STUCK
        return value, quality


class _Rate:
    """Can the quantity have come from the last believed value to this one?"""

    __slots__ = ("at", "band", "max_rate", "new", "new_at", "run", "value")

    def __init__(self, max_rate: float, band: float) -> None:
        self.max_rate, self.band = max_rate, band
        self.value, self.at = 0.0, -inf
        self.new, self.new_at, self.run = 0.0, 0.0, 0

    def jumps(self, value: float, at: float) -> bool:
        if not self._near(self.value, self.at, value, at):
            self.run = self.run + 1 if self.run and self._near(self.new, self.new_at, value, at) else 1
            self.new, self.new_at = value, at
            if self.run <= AGREE:
                return True
        self.value, self.at, self.run = value, at, 0
        return False

    def _near(self, last: float, then: float, value: float, at: float) -> bool:
        return abs(value - last) <= self.max_rate * max(0.0, at - then) + self.band


class _Stuck:
    """How long does it stand still?"""

    __slots__ = ("seen", "since", "stuck_s", "value")

    def __init__(self, stuck_s: float) -> None:
        self.stuck_s = stuck_s
        self.value: float | None = None
        self.since = self.seen = 0.0

    def stands(self, value: float, at: float) -> bool:
        if value != self.value or at - self.seen > self.stuck_s:
            self.value, self.since = value, at
        self.seen = at
        return at - self.since >= self.stuck_s


class _Count:
    """From the readings of a counter to a total."""

    __slots__ = ("_added", "_at", "_last", "_lost", "_max_rate", "_modulus", "_step")

    def __init__(self, counter: Counter, max_rate: float | None) -> None:
        self._modulus = None if counter.bits is None else (1 << counter.bits) * counter.step
        self._step = counter.step
        self._max_rate = max_rate
        self._last: float | None = None
        self._at = 0.0
        self._added: float = 0
        """What the total is ahead of the reading; of a counter that reading clears, of nothing."""
        self._lost = False

    def missed(self) -> None:
        """An answer may have been lost on the way."""
        self._lost = self._last is not None

    def total(self, value: float, at: float) -> tuple[float, bool]:
        """The total, and whether counts may be missing in it."""
        last, self._last = self._last, value
        elapsed_s, self._at = max(0.0, at - self._at), at
        # two counts more than the rate allows: both ends of the time lie between two counts
        most = inf if self._max_rate is None or last is None else self._max_rate * elapsed_s + 2 * self._step
        if self._modulus is not None:
            return self._wrapping(last, value, self._modulus, most)
        possible = 0 <= value <= most
        lost, self._lost = self._lost or not possible, False
        self._added += value if possible else 0
        return self._added, lost

    def _wrapping(self, last: float | None, value: float, modulus: float, most: float) -> tuple[float, bool]:
        if last is None:
            return value, False
        wrapped = value < last
        if value - last + (modulus if wrapped else 0) > most:
            self._added += last - value
            return self._added + value, True
        self._added += modulus if wrapped else 0
        return self._added + value, modulus <= most < inf
