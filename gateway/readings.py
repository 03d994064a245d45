"""Scans on their way to the district: what is news of each, gathered into a burst, committed as packs to the telemetry lane.

Guarantees
* A burst is committed `BURST_S` after its first scan, at most once in a slot of `commit_s`, and nobody waits for it.
* A pack takes at most `PACK_BYTES` as sent; the layout that reads it is committed with the first one that needs it.

What is news is `gateway.report`'s; how a pack is written, `gateway.wire.pack`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.clock import Clock, Timer
from gateway.model import Draft, Scan
from gateway.report import Reporter
from gateway.store.journal import Journal
from gateway.wire import pack, payloads
from rules.condition import Key

BURST_S = 0.03
"""How long after a burst's first scan its telemetry is committed: what a kill can take."""
PACK_BYTES = 16 * 1024


class Readings:
    """Owns the open burst."""

    def __init__(
        self,
        reporter: Reporter,
        layouts: Mapping[Key, pack.Layout],
        telemetry: Journal,
        clock: Clock,
        commit_s: float = 1.0,
    ) -> None:
        self._reporter, self._layouts, self._commit_s = reporter, layouts, commit_s
        self._telemetry = telemetry
        self._clock = clock
        self._burst: list[tuple[pack.Layout, Scan, tuple[int, ...] | None]] = []
        self._timer: Timer | None = None
        self._flushed = float("-inf")
        self._known = set(pack.Layouts(telemetry.state))

    def adopt(
        self, reporter: Reporter, layouts: Mapping[Key, pack.Layout], commit_s: float, same: frozenset[Key]
    ) -> None:
        """Another site's; of groups that are the `same` nothing is said again."""
        reporter.succeed(self._reporter, same)
        self._reporter, self._layouts, self._commit_s = reporter, layouts, commit_s

    def take(self, scan: Scan) -> None:
        columns = self._reporter.columns(scan)
        if columns is None or columns:
            self._burst.append((self._layouts[scan.device, scan.group], scan, columns))
            if self._timer is None:
                self._timer = self._clock.call_at(self._flush_at(), self.flush)

    def _flush_at(self) -> float:
        """`BURST_S` from now, or in the next slot of the pollers' grid when this one had its commit, or is nearly over.

        By slots, not by the time since the last commit: else a commit between two polls, such as the first one after the
        start, would make all later polls wait for the moment between the polls.
        """
        now = self._clock.monotonic()
        slot = now // self._commit_s * self._commit_s
        if self._flushed >= slot or now + BURST_S >= slot + self._commit_s:
            return slot + self._commit_s + BURST_S
        return now + BURST_S

    def flush(self) -> None:
        """Commit the open burst now."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._flushed = self._clock.monotonic()
        burst, self._burst = self._burst, []
        drafts: list[Draft] = []
        state: dict[str, bytes | None] = {}
        start = size = 0
        for index, (layout, _, columns) in enumerate(burst):
            entry = layout.size(columns)
            if size and size + entry > PACK_BYTES:
                drafts.append(_pack(burst[start:index]))
                start, size = index, 0
            size += entry
            if layout.id not in self._known:
                self._known.add(layout.id)
                state[f"{pack.LAYOUT}{layout.id}"] = layout.to_json()
        if burst:
            drafts.append(_pack(burst[start:]))
            self._telemetry.commit(drafts, state)


def _pack(scans: list[tuple[pack.Layout, Scan, tuple[int, ...] | None]]) -> Draft:
    return Draft(payloads.PACK, scans[0][1].at, pack.encode(scans))
