"""Is a changed site any worse than the one before it? The decision, as a pure function of what was seen.

Guarantees
* Undone: a bus that was heard before the change is not heard any more; a part falls, or a driver or rule has a bug, that did
  not before; an uplink that was connected and was changed is not connected at the end.
* A bus that is not of the new site is missed by nobody, and one that was silent before cannot be lost.
* Proved: `Terms.proved_s` went by without any of it. It ends, one way or the other.

A device that is lost alone does not count: it has an alarm of its own, and the person is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway.model import Text


class Terms(NamedTuple):
    """How long what is looked at; seconds."""

    proved_s: float = 60.0
    silent_s: float = 20.0
    """A bus is not heard any more after that, or after three of its shortest periods."""
    fault_s: float = 2.0
    """What falls once and works again is no reason."""

    def patience_s(self, shortest_period_s: float) -> float:
        return max(self.silent_s, 3 * shortest_period_s)


class Heard(NamedTuple):
    """A bus, as far as anybody answers on it."""

    at: float | None
    """Monotonic; None: not yet, since it was started."""
    patience_s: float
    """Silent for so long: not heard any more."""


class Stage(Enum):
    TRIAL = "trial"
    PROVED = "proved"
    UNDONE = "undone"


class Verdict(NamedTuple):
    stage: Stage
    why: Text = Text("", "")


@dataclass(frozen=True, slots=True)
class Seen:
    """The gateway at one moment."""

    at: float
    buses: Mapping[str, Heard]
    connected: Collection[str]
    """Uplinks."""
    faults: Mapping[str, float]
    """What is broken, and since when."""


def worked(seen: Seen) -> frozenset[str]:
    """The buses on which somebody answers."""
    return frozenset(
        name for name, heard in seen.buses.items() if heard.at is not None and seen.at - heard.at <= heard.patience_s
    )


def judge(before: Seen, changed_uplinks: Collection[str], now: Seen, terms: Terms) -> Verdict:
    """`before`: at the moment of the change."""
    fallen = [
        name for name, since in now.faults.items() if name not in before.faults and now.at - since >= terms.fault_s
    ]
    if fallen:
        return _undone(f"部件故障：{'、'.join(fallen)}", f"a part fails: {', '.join(fallen)}")
    over = now.at - before.at >= terms.proved_s
    lost = [name for name in sorted(worked(before)) if name in now.buses and _lost(before, now, name, over=over)]
    if lost:
        return _undone(f"总线无应答：{'、'.join(lost)}", f"nobody answers any more on bus {', '.join(lost)}")
    cut = sorted(set(before.connected).intersection(changed_uplinks).difference(now.connected)) if over else []
    if cut:
        return _undone(f"上行未能连接：{'、'.join(cut)}", f"uplink {', '.join(cut)} does not connect any more")
    return Verdict(Stage.PROVED if over else Stage.TRIAL)


def _lost(before: Seen, now: Seen, name: str, *, over: bool) -> bool:
    heard = now.buses[name]
    if heard.at is None:
        return over or now.at - before.at > heard.patience_s
    return now.at - max(heard.at, before.at) > heard.patience_s


def _undone(zh: str, en: str) -> Verdict:
    return Verdict(Stage.UNDONE, Text(zh, en))
