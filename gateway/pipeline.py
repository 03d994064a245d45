"""From scans and commands to committed records: the one way that everything takes.

    scan | command -> engine.step -> transitions + changed state -> outputs, at once
                                                                 -> alarm lane, at once -> announce
                   -> report by exception -> burst -> packs -> telemetry lane, 30 ms after a burst's first scan

Guarantees
* A transition and the engine state that goes with it are one commit (law 4); it is announced once: by its commit, or
  marked not durable when the disk takes over half a second or fails (law 5).
* The engine's timers are woken here, also when every bus is dead.
* Telemetry is committed at most once a second and never awaited; an alarm never waits for it. State that changed without
  a transition (the memory of a hysteresis, of "k of n") goes with the next commit, a second later at the latest.

It knows nothing of buses, brokers or persons; it holds the latest scan of each group for those who look.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.clock import Clock, Timer, spoken
from gateway.errors import StorageError
from gateway.guardroom import BUG, Guardroom, Ways
from gateway.mind import Left, Mind
from gateway.model import Action, Command, Draft, FloodEdge, Mark, Record, Sample, Scan, State, Text, Transition
from gateway.plausible import Plausible
from gateway.report import Reporter
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.wire import alarm, pack, payloads
from rules import texts
from rules.clocks import Clocks
from rules.condition import Key
from rules.engine import Engine, Standing, Step
from rules.lifecycle import ASIDE
from rules.post import ACTIONS, DEVICE, Post, PostSpec
from rules.spec import AlarmSpec

log = logging.getLogger(__name__)

BURST_S = 0.03
"""How long after a burst's first scan its telemetry is committed: what a kill can take."""
PACK_BYTES = 16 * 1024
CLOCK_S = 1.0
"""How often the clocks are compared; a smaller step of the wall clock is not told to the rules."""
STATE = "alarm/"
"""Prefix of the engine's state in the alarm lane; see `gateway.parts` for how it is restored."""
CLOCKS = "clocks"
"""Key of `clocks` there, as of the last commit."""
TRAIL = "trail/"
"""Prefix there of how far each of the last `TRAILS` transitions has come: for the console, also after a restart."""
TRAILS = 512
TRAIL_S = 0.1
"""How soon that is written: what a kill can take of it."""
LOCAL = "outputs"
"""As the guard calls them."""
NO_SOUNDER = Text("本站没有声光输出", "this site has no outputs")
STAGES = ("pending", "announced", "committed", "broker", "district")
"""announced: told before the disk confirmed it; broker and district: acknowledged by it, receipted by it."""


@dataclass(slots=True)
class Progress:
    """How far one transition's record has come, and when (wall time) it got there."""

    alarm: str
    sequence: int
    times: dict[str, float]

    @property
    def stage(self) -> str:
        """The furthest of `STAGES` that it reached."""
        return max(self.times, key=STAGES.index, default="pending")


def clocks(clock: Clock) -> bytes:
    """Both clocks at one moment: what carries running times across a restart (see `gateway.bridge`)."""
    now = {"boot": clock.boot, "at": clock.monotonic(), "wall": clock.wall(), "trusted": clock.trusted()}
    return json.dumps(now).encode()


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
    """Owns the engine and the open burst."""

    def __init__(
        self,
        engine: Engine,
        specs: Mapping[str, AlarmSpec],
        reporter: Reporter,
        layouts: Mapping[tuple[str, int], pack.Layout],
        alarms: Journal,
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
        self._specs = specs
        self._reporter = reporter
        self._layouts = layouts
        self._points = {point.id: point for layout in layouts.values() for point in layout.points}
        self._alarms = alarms
        self._telemetry = telemetry
        self._clock = clock
        self._guard = guard
        self._simulated = simulated
        self._plausible = plausible or Plausible({})
        self._utc_offset_s = utc_offset_s
        self._clocks: Clocks | None = None
        """As the rules know them."""
        self._clocks_due = float("-inf")
        self._commit_s = commit_s
        self._burst: list[tuple[pack.Layout, Scan, tuple[int, ...] | None]] = []
        self._burst_timer: Timer | None = None
        self._state: dict[str, bytes | None] = {}
        self._state_timer: Timer | None = None
        self._post = post or Post(PostSpec(), {})
        self._guardroom = self._made_guardroom(self._post)
        self._state_at = float("inf")
        self._flushed = float("-inf")
        self._known = {int(key.removeprefix("layout/")) for key in telemetry.state() if key.startswith("layout/")}
        self._wake: Timer | None = None
        self._wake_at = float("inf")
        self.latest: dict[tuple[str, int], Scan] = {}
        self._trail: dict[str, Progress] = {}
        self.progress: dict[str, Progress] = {}
        """By alarm: its latest transition."""
        self._find_trail()
        self._told: asyncio.Future[None] | None = None
        """Done when the latest commit is announced."""
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
        self._report(scan)
        for computed in step.scans if step else ():
            self._report(computed)
        for tap in self.taps:
            tap(scan)

    def _report(self, scan: Scan) -> None:
        self.latest[scan.device, scan.group] = scan
        columns = self._reporter.columns(scan)
        if columns is None or columns:
            self._burst.append((self._layouts[scan.device, scan.group], scan, columns))
            if self._burst_timer is None:
                self._burst_timer = self._clock.call_at(self._flush_at(), self.flush)

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

    def command(self, command: Command) -> Text | None:
        """A person's command; returns why it was refused, or None."""
        if command.action in ACTIONS:
            refused = self._set(command)
        elif command.action is Action.SILENCE:
            refused = self._silence(command)
        else:
            step = self._step(command)
            refused = step.refused if step else BUG
        for tap in self.taps:
            tap(command)
        return refused

    def _set(self, command: Command) -> Text | None:
        """What the people on watch set: with its record in one commit."""
        refused = self._guardroom.obey(command)
        self._commit([Draft(payloads.COMMAND, command.at, payloads.command(command, refused))], ())
        self._guardroom.tell()
        return refused

    def _silence(self, command: Command) -> Text | None:
        """Done first, and then recorded: quiet need not wait for the disk."""
        local = self.local
        answer = self._guard.call(LOCAL, lambda: (NO_SOUNDER if local is None else local.obey(command),))
        refused = BUG if answer is None else answer[0]
        self._commit([Draft(payloads.COMMAND, command.at, payloads.command(command, refused))], ())
        return refused

    def _settle(self) -> None:
        if self._state:
            self._commit_state()

    def once_written(self, call: Callable[[], None]) -> None:
        """Call when all that was taken so far is on the disk, or announced without it: at once, where nothing waits."""
        if self._told is None or self._told.done():
            call()
        else:
            self._told.add_done_callback(lambda _: call())

    async def written(self) -> None:
        """Until all that was taken so far is on the disk, or announced without it: half a second at most (law 5)."""
        if self._told:
            await asyncio.shield(self._told)

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
        self._engine, self._specs, self._layouts = mind.engine, mind.specs, mind.layouts
        self._points = {point.id: point for layout in mind.layouts.values() for point in layout.points}
        mind.reporter.succeed(self._reporter, same)
        mind.plausible.succeed(self._plausible, same)
        self._reporter, self._plausible, self._simulated = mind.reporter, mind.plausible, mind.simulated
        self._utc_offset_s, self._commit_s = mind.site.utc_offset_s, mind.site.journal.telemetry_commit_s
        self.latest = {key: scan for key, scan in self.latest.items() if key in same}
        self._post, self._guardroom = mind.post, self._made_guardroom(mind.post)
        self._guardroom.keep()
        draft = Draft(payloads.SITE, now, body)
        if self._step(None, draft) is None:
            self._commit([draft], ())
        self._clocks, self._clocks_due = None, float("-inf")
        self.start()
        return gone

    def _made_guardroom(self, post: Post) -> Guardroom:
        ways = Ways(self._take, lambda state: self._state.update(state), self._settle)
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
        drafts = [Draft(payloads.TRANSITION, transition.at, self._body(transition)) for transition in step.transitions]
        drafts[:0] = [Draft(payloads.FLOOD, edge.at, payloads.flood(edge)) for edge in step.floods]
        for edge in step.floods:
            what = "begins" if edge.begins else "ends"
            log.warning("flood of alarms %s: %d new, %d grouped, first %s", what, edge.alarms, edge.grouped, edge.first)
        if isinstance(event, Command):
            drafts.insert(0, Draft(payloads.COMMAND, event.at, payloads.command(event, step.refused)))
        if first is not None:
            drafts.insert(0, first)
        if step.changed:
            self._remember({STATE + name: body for name, body in step.changed.items()}, self._commit_s)
        if drafts:
            self._commit(drafts, step.transitions)
        if step.deadline != self._wake_at:
            self._arm(step.deadline)
        return step

    def _arm(self, deadline: float | None) -> None:
        if self._wake:
            self._wake.cancel()
        self._wake_at = float("inf") if deadline is None else deadline
        self._wake = None if deadline is None else self._clock.call_at(deadline, self._woken)

    def _woken(self) -> None:
        self._wake, self._wake_at = None, float("inf")
        self._step(None)

    def _body(self, transition: Transition) -> bytes:
        simulated = transition.alarm in self._simulated
        return alarm.encode(transition, self._specs[transition.alarm], self._words(transition), simulated=simulated)

    def _words(self, transition: Transition) -> alarm.Words:
        """A bug in a text must not keep an alarm from being recorded."""
        text = self._specs[transition.alarm].text
        return self._guard.call("texts of alarms", lambda: self._told_of(transition)) or alarm.Words(text, text)

    def _told_of(self, transition: Transition) -> alarm.Words:
        spec = self._specs[transition.alarm]
        samples = transition.evidence.samples if transition.evidence else ()
        told = self.message(spec, transition.after, transition.since, samples[0] if samples else None)
        return alarm.Words(texts.headline(spec), told)

    def message(self, spec: AlarmSpec, state: State, since: float, sample: Sample | None) -> Text:
        """An alarm in words; `sample`: the value to be told."""
        value = texts.value_text(self._points.get(sample.point), sample) if sample else Text("", "")
        return texts.message(spec, state, spoken(self._clock, since), value)

    def record(self, kind: str, body: bytes) -> None:
        """An event of the gateway itself: started, clock set."""
        self._commit([Draft(kind, self._clock.monotonic(), body)], ())

    def keep(self, state: Mapping[str, bytes | None]) -> None:
        """Save something that is no alarm's state, with the next commit."""
        self._remember(state, self._commit_s)

    def _commit(self, drafts: list[Draft], transitions: tuple[Transition, ...]) -> None:
        records = self._alarms.commit(drafts, self._take_state(), self._announce(transitions))
        for transition, record in zip(transitions, records[len(records) - len(transitions) :], strict=True):
            self._follow(_key(record), Progress(transition.alarm, record.sequence, {}))
            if self.local is not None:
                self._guard.call(LOCAL, partial(self.local.recorded, transition.alarm, _key(record)))

    def alarms(self) -> dict[str, Standing]:
        """How all alarms stand."""
        return self._engine.alarms()

    def stage(self, alarm: str) -> str:
        """How far the latest transition of an alarm has come."""
        return self.progress[alarm].stage if alarm in self.progress else "pending"

    def _follow(self, key: str, progress: Progress) -> None:
        self._trail[key] = progress
        latest = self.progress.get(progress.alarm)
        if latest is None or latest.sequence < progress.sequence:
            self.progress[progress.alarm] = progress
        if len(self._trail) > TRAILS:
            oldest = next(iter(self._trail))
            del self._trail[oldest]
            self._state[TRAIL + oldest] = None

    def _remember(self, state: Mapping[str, bytes | None], within_s: float) -> None:
        """State that goes with the next commit, or alone after `within_s`."""
        self._state.update(state)
        at = self._clock.monotonic() + within_s
        if at < self._state_at:
            if self._state_timer:
                self._state_timer.cancel()
            self._state_at = at
            self._state_timer = self._clock.call_at(at, self._commit_state)

    def _commit_state(self) -> None:
        self._alarms.commit([], self._take_state())

    def _take_state(self) -> dict[str, bytes | None]:
        """What changed since the last commit, with the clocks that it was written by."""
        if self._state_timer:
            self._state_timer.cancel()
        state, self._state, self._state_timer, self._state_at = self._state, {}, None, float("inf")
        state[CLOCKS] = clocks(self._clock)
        return state

    def _announce(self, transitions: tuple[Transition, ...]) -> Callable[[list[Record], StorageError | None], None]:
        told = self._told = asyncio.get_running_loop().create_future()

        def announce(records: list[Record], error: StorageError | None) -> None:
            if not told.done():  # cancelled with a loop that ends
                told.set_result(None)
            for transition, record in zip(transitions, records[len(records) - len(transitions) :], strict=True):
                self.reached(record, "announced" if error else "committed")
                words = f" (NOT DURABLE: {error})" if error else ""
                # Hidden, or one of a flood: recorded, nobody is called for it alone.
                quiet = transition.after in ASIDE or Mark.GROUPED in transition.marks
                level = logging.INFO if quiet else logging.WARNING
                en = self._words(transition).message.en
                log.log(
                    level, "alarm %s: %s -> %s%s: %s", transition.alarm, transition.before, transition.after, words, en
                )

        return announce

    def reached(self, record: Record, stage: str) -> None:
        """A transition came one of `STAGES` further; told by the journal and by the uplinks."""
        key = _key(record)
        if key not in self._trail and record.kind == payloads.TRANSITION:
            # Of an earlier run, killed before it could note how far this one had come.
            self._follow(key, Progress(json.loads(record.body)["alarm"], record.sequence, {}))
        progress = self._trail.get(key)
        if progress is None or stage in progress.times:
            return
        progress.times[stage] = self._clock.wall()
        if self.local is not None:
            self._guard.call(LOCAL, partial(self.local.reached, progress.alarm, key, stage))
        self._remember({TRAIL + key: json.dumps({"alarm": progress.alarm, **progress.times}).encode()}, TRAIL_S)

    def _find_trail(self) -> None:
        """How far the transitions of earlier runs had come."""
        state = self._alarms.state()
        found = [key.removeprefix(TRAIL) for key in state if key.startswith(TRAIL)]
        for key in sorted(found, key=lambda key: int(key.rpartition("/")[2])):
            times = json.loads(state[TRAIL + key])
            self._follow(key, Progress(times.pop("alarm"), int(key.rpartition("/")[2]), times))

    def close(self) -> None:
        """The end: hand everything that waits to the journal, and wake up no more."""
        self._guardroom.close()
        self._arm(None)
        self.flush()
        if self._state:
            self._commit_state()

    def flush(self) -> None:
        """Commit the open burst as packs of at most 16 KiB."""
        if self._burst_timer:
            self._burst_timer.cancel()
        self._burst_timer = None
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
                state[f"layout/{layout.id}"] = layout.to_json()
        if burst:
            drafts.append(_pack(burst[start:]))
            self._telemetry.commit(drafts, state)


def _pack(scans: list[tuple[pack.Layout, Scan, tuple[int, ...] | None]]) -> Draft:
    return Draft(payloads.PACK, scans[0][1].at, pack.encode(scans))


def _key(record: Record) -> str:
    return f"{record.journal}.{record.run}/{record.sequence}"
