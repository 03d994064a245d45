"""From scans and commands to committed records: the one way that everything takes.

    scan | command -> engine.step -> transitions + changed state -> outputs, at once
                                                                 -> alarm lane (`gateway.ledger`), at once -> announce
                   -> telemetry lane (`gateway.readings`)

Guarantees
* A transition and the engine state that goes with it are one commit (law 4); it is announced once: by its commit, or
  marked not durable when the disk takes over half a second or fails (law 5).
* The engine's timers are woken here, also when every bus is dead.
* An alarm never waits for telemetry. State that changed without a transition (the memory of a hysteresis, of "k of n")
  goes with the next commit, a second later at the latest.
* What a person asked for is a record, also when it was refused or failed.

It knows nothing of buses, brokers or persons; it holds the latest scan of each group for those who look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Protocol

from gateway.clock import Clock, Timer
from gateway.errors import StorageError
from gateway.guardroom import BUG, Guardroom, Ways
from gateway.ledger import Ledger
from gateway.mind import Left, Mind
from gateway.model import Action, Command, Draft, FloodEdge, Mark, Record, Scan, Text, Transition
from gateway.plausible import Plausible
from gateway.readings import Readings
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.trail import TRAIL, Trail, name_of
from gateway.wire import alarm, pack, payloads
from gateway.wording import Wording
from rules.clocks import Clocks
from rules.condition import Key
from rules.engine import Engine, Step
from rules.lifecycle import ASIDE
from rules.post import ACTIONS, DEVICE, Post, PostSpec
from rules.spec import AlarmSpec
from rules.standing import Standing

log = logging.getLogger(__name__)

Told = tuple[Transition, alarm.Words]
CLOCK_S = 1.0
"""How often the clocks are compared; a smaller step of the wall clock is not told to the rules."""
STATE = "alarm/"
"""Prefix of the engine's state in the alarm lane; see `gateway.parts` for how it is restored."""
LOCAL = "outputs"
"""As the guard calls them."""
NO_SOUNDER = Text("本站没有声光输出", "this site has no outputs")


class Local(Protocol):
    """The guard room's outputs (`gateway.outputs`), which act at once."""

    def moved(self, transitions: Sequence[Transition], floods: Sequence[FloodEdge]) -> None:
        """Before anything of it is committed."""

    def recorded(self, alarm: str, record: str) -> None:
        """A transition of the alarm has this record."""

    def reached(self, alarm: str, record: str, stage: str) -> None:
        """It came so far."""

    def obey(self, command: Command) -> Text | None:
        """A command to silence."""


class Pipeline:
    """Owns the engine and its one timer."""

    def __init__(
        self,
        engine: Engine,
        specs: Mapping[str, AlarmSpec],
        reporter: Reporter,
        layouts: Mapping[tuple[str, int], pack.Layout],
        ledger: Ledger,
        telemetry: Journal,
        clock: Clock,
        guard: Guard,
        *,
        simulated: frozenset[str] = frozenset(),
        commit_s: float = 1.0,
        plausible: Plausible | None = None,
        post: Post | None = None,
        utc_offset_s: float = 0.0,
    ) -> None:
        """`simulated`: alarms that look at simulated devices; their records say so."""
        self._engine = engine
        self._layouts = layouts
        self._ledger = ledger
        self._clock = clock
        self._guard = guard
        self.wording = self._worded(specs, simulated)
        self.readings = Readings(reporter, layouts, telemetry, clock, commit_s)
        self.trail = Trail(ledger.under(TRAIL), ledger.keep, clock)
        self._plausible = plausible or Plausible({})
        self._utc_offset_s = utc_offset_s
        self._clocks: Clocks | None = None
        """As the rules know them."""
        self._clocks_due = -inf
        self._post = post or Post(PostSpec(), {})
        self._guardroom = self._made_guardroom(self._post)
        self._wake: Timer | None = None
        self._wake_at = inf
        self.latest: dict[Key, Scan] = {}
        self.taps: list[Callable[[Scan | Command], None]] = []
        """Technicians' tools that listen; each hears what was taken, after the rules."""
        self.local: Local | None = None
        self.scans = 0
        self.moved = clock.monotonic()

    def take(self, scan: Scan) -> None:
        """A poll's result. Runs to the end without awaiting."""
        scan = self._guard.call("plausible", partial(self._plausible.judge, scan)) or scan  # a bug hides no fire
        if (scan.device, scan.group) in self._guardroom.watched:
            self._guardroom.hear(scan)
        self._take(scan)

    def _take(self, scan: Scan) -> None:
        self.scans += 1
        self._tell_clocks()
        step = self._step(scan)
        for told in (scan, *step.scans) if step else (scan,):
            self.latest[told.device, told.group] = told
            self.readings.take(told)
        for tap in self.taps:
            tap(scan)

    def _tell_clocks(self) -> None:
        """Schedules go by the wall clock: whether it is trusted, and where it stands, is looked at once a second, with the
        gateway's own scan at the latest."""
        at = self._clock.monotonic()
        if at < self._clocks_due:
            return
        self._clocks_due = at + CLOCK_S
        wall, trusted = self._clock.wall(), self._clock.trusted()
        told = self._clocks
        if told is None or told.trusted != trusted or abs((wall - at) - (told.wall - told.at)) > CLOCK_S:
            self._clocks = Clocks(at, wall, trusted, self._utc_offset_s)
            self._step(self._clocks)

    def command(self, command: Command) -> Text | None:
        """A person's command; returns why it was refused, or None."""
        if command.action in ACTIONS:
            refused = self._set(command)
        elif command.action is Action.SILENCE:
            refused = self._silence(command)
        else:
            step = self._step(command)
            refused = step.refused if step else BUG
            if step is None:
                self._ledger.commit([_said(command, BUG)])
        for tap in self.taps:
            tap(command)
        return refused

    def _set(self, command: Command) -> Text | None:
        """What the people on watch set: with its record in one commit."""
        refused = self._guardroom.obey(command)
        self._ledger.commit([_said(command, refused)])
        self._guardroom.tell()
        return refused

    def _silence(self, command: Command) -> Text | None:
        """Done first, and then recorded: quiet need not wait for the disk."""
        local = self.local
        answer = self._guard.call(LOCAL, lambda: (NO_SOUNDER if local is None else local.obey(command),))
        refused = BUG if answer is None else answer[0]
        self._ledger.commit([_said(command, refused)])
        return refused

    def start(self) -> None:
        """Arm the engine's first deadline, and tell of the device `site` from now on where there is one."""
        self._guardroom.keep()  # times on this boot's clock: with the first commit, which says that they are
        self._step(None)
        self._tell_clocks()
        if (DEVICE, 0) in self._layouts:
            self._guardroom.wake()

    def adopt(self, mind: Mind, same: frozenset[Key], left: Left, body: bytes) -> Left:
        """Another site from here on. Alarms and partitions go on where they stand (`Engine.succeed`); what changed of them and
        the record of it (`body`) are one commit. Returns what leaves."""
        now = self._clock.monotonic()
        gone = Left(mind.engine.succeed(self._engine, same, left.alarms), {})
        if mind.post is not self._post:
            gone.post.update(mind.post.succeed(self._post, left.post, now))
        self._guardroom.close()
        self._engine, self._layouts = mind.engine, mind.layouts
        self.wording = self._worded(mind.specs, mind.simulated)
        mind.plausible.succeed(self._plausible, same)
        self._plausible, self._utc_offset_s = mind.plausible, mind.site.utc_offset_s
        self._ledger.alone_s = commit_s = mind.site.journal.telemetry_commit_s
        self.readings.adopt(mind.reporter, mind.layouts, commit_s, same)
        self.latest = {key: scan for key, scan in self.latest.items() if key in same}
        self._post, self._guardroom = mind.post, self._made_guardroom(mind.post)
        self._guardroom.keep()
        draft = Draft(payloads.SITE, now, body)
        if self._step(None, draft) is None:
            self._ledger.commit([draft])
        self._clocks, self._clocks_due = None, -inf
        self.start()
        return gone

    def _made_guardroom(self, post: Post) -> Guardroom:
        ways = Ways(self._take, lambda state: self._ledger.keep(state, inf), self._ledger.settle)
        return Guardroom(post, self._clock, self._guard, ways)

    def _step(self, event: Scan | Command | Clocks | None, first: Draft | None = None) -> Step | None:
        """`first`: goes into the same commit, before what follows."""
        now = self._clock.monotonic()
        step = self._guard.call("rules", lambda: self._engine.step(event, now))
        if step is None:
            return None
        self.moved = now  # not before: an engine that fails at each step must not feed the watchdog
        if self.local is not None and (step.transitions or step.floods):
            self._guard.call(LOCAL, partial(self.local.moved, step.transitions, step.floods))
        drafts = [] if first is None else [first]
        told: list[Told] = []
        if isinstance(event, Command):
            drafts.append(_said(event, step.refused))
        for edge in step.floods:
            what = "begins" if edge.begins else "ends"
            log.warning("flood of alarms %s: %d new, %d grouped, first %s", what, edge.alarms, edge.grouped, edge.first)
            drafts.append(Draft(payloads.FLOOD, edge.at, payloads.flood(edge)))
        for transition in step.transitions:
            words = self.wording.words(transition)
            told.append((transition, words))
            drafts.append(self.wording.draft(transition, words))
        if step.changed:
            self._ledger.keep({STATE + name: body for name, body in step.changed.items()})
        if drafts:
            self._commit(drafts, told)
        if step.deadline != self._wake_at:
            self._arm(step.deadline)
        return step

    def _arm(self, deadline: float | None) -> None:
        if self._wake:
            self._wake.cancel()
        self._wake_at = inf if deadline is None else deadline
        self._wake = None if deadline is None else self._clock.call_at(deadline, self._woken)

    def _woken(self) -> None:
        self._wake, self._wake_at = None, inf
        self._step(None)

    def _worded(self, specs: Mapping[str, AlarmSpec], simulated: frozenset[str]) -> Wording:
        points = (point for layout in self._layouts.values() for point in layout.points)
        return Wording(specs, points, simulated, self._clock, self._guard)

    def _commit(self, drafts: list[Draft], told: Sequence[Told]) -> None:
        """The last of `drafts` are of the transitions that are `told`."""
        records = self._ledger.commit(drafts, partial(self._announce, told))
        for (transition, _), record in zip(told, records[len(records) - len(told) :], strict=True):
            self.trail.follow(record, transition.alarm)
            if self.local is not None:
                self._guard.call(LOCAL, partial(self.local.recorded, transition.alarm, name_of(record)))

    def alarms(self) -> dict[str, Standing]:
        """How all alarms stand."""
        return self._engine.alarms()

    def _announce(self, told: Sequence[Told], records: list[Record], error: StorageError | None) -> None:
        for (transition, words), record in zip(told, records[len(records) - len(told) :], strict=True):
            self.reached(record, "announced" if error else "committed")
            how = f" (NOT DURABLE: {error})" if error else ""
            # Hidden, or one of a flood: recorded, nobody is called for it alone.
            quiet = transition.after in ASIDE or Mark.GROUPED in transition.marks
            level = logging.INFO if quiet else logging.WARNING
            change = f"{transition.before} -> {transition.after}"
            log.log(level, "alarm %s: %s%s: %s", transition.alarm, change, how, words.message.en)

    def reached(self, record: Record, stage: str) -> None:
        """A transition came one of `gateway.trail.STAGES` further; told by the journal and by the uplinks."""
        progress = self.trail.reached(record, stage)
        if progress is not None and self.local is not None:
            self._guard.call(LOCAL, partial(self.local.reached, progress.alarm, name_of(record), stage))

    def close(self) -> None:
        """The end: hand everything that waits to the journal, and wake up no more."""
        self._guardroom.close()
        self._arm(None)
        self.readings.flush()
        self._ledger.settle()


def _said(command: Command, refused: Text | None) -> Draft:
    """The record of what a person asked for."""
    return Draft(payloads.COMMAND, command.at, payloads.command(command, refused))
