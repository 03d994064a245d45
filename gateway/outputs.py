"""The guard room's minimum at work: lamps and sounders follow the alarms, keys acknowledge and silence.

Guarantees
* They act at once: on the transition, before its record is committed. Law 5 lets an alarm be *announced*, to somebody who will
  hold the record against us, only after the commit or half a second. A sounder announces nothing to another party and nothing
  follows from it but that somebody looks; a power cut in those milliseconds leaves an alarm that is raised anew at the next
  start. To wait would cost half a second exactly when the disk is dead.
* Nothing here waits: not for the disk, not for the district, not for a bus. With the link cut the lamps flash; with a dead
  disk all is as ever.
* Only the outputs of the site file are ever switched (`gateway.site.outputs`): lamps and sounders.
* What is shown is set again every `RENEW_S` at the latest. An output or key that cannot be used is a fault of the gateway (`failing`).
* A key does what a person does at the console, and is recorded the same: silence first, then each unacknowledged alarm of its
  classes acknowledged. So is the end of a longest on-time: a silence by the output itself.
* Everything is off at the start until the alarms as they stand say otherwise; at an orderly stop, off where the site says so.

A crash leaves a relay as it is until the next start, and a GPIO line to its chip; docs/guard-room.md says what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

from gateway.annunciator import NOTHING_SOUNDS, Annunciator, Line, OutputSpec, classes_of, lit, toggles_at
from gateway.button import Button, KeySpec
from gateway.clock import HOUSEKEEPING_S, Clock, Timer, housekeeping
from gateway.ends import End, Push, Take
from gateway.model import Action, AlarmClass, Command, FloodEdge, Level, Quality, Scan, Text, Transition
from gateway.restart import Guard
from rules.spec import AlarmSpec
from rules.standing import Standing

RENEW_S = 5.0
LEAVE_S = 1.0
PART = "outputs"
"""As the guard calls it."""
Where = tuple[str, int, int]
"""Of a key's point: device, group, column."""


class Outputs:
    """`command` carries a key's commands the way that a person's go."""

    def __init__(
        self,
        outputs: Sequence[OutputSpec],
        ends: Mapping[str, End],
        specs: Mapping[str, AlarmSpec],
        clock: Clock,
        guard: Guard,
        command: Callable[[Command], Text | None],
        received_at: tuple[str, ...] = ("district",),
    ) -> None:
        """`received_at`: stages of `gateway.trail.STAGES` at which the district has an alarm."""
        self._outputs = outputs
        self.ends = ends
        """By output."""
        self._specs = specs
        self._clock = clock
        self._guard = guard
        self._command = command
        self._received_at = received_at
        self._annunciator = Annunciator(outputs)
        self._timer: Timer | None = None
        self._renew_at = -inf
        self._left = False
        self._buttons: dict[tuple[str, int], list[tuple[KeySpec, int, Button]]] = {}
        self._pushes: dict[str, Push] = {}
        self._keys: list[KeySpec] = []

    def watch(self, key: KeySpec, where: Where) -> None:
        """A key that is a point."""
        device, group, column = where
        self._keys.append(key)
        self._buttons.setdefault((device, group), []).append((key, column, Button()))

    def push(self, key: KeySpec, line: Line, take: Take) -> None:
        """A key that is a GPIO line; `take` takes it."""
        self._keys.append(key)
        self._pushes[key.id] = Push(line, take, self._clock, partial(self._call, partial(self._press, key)))

    def begin(self, alarms: Mapping[str, Standing], received: Callable[[str], str]) -> None:
        """The alarms as they stand at the start; `received` gives the furthest stage of each."""
        now = self._clock.monotonic()
        for name, one in alarms.items():
            known = received(name) in self._received_at
            self._annunciator.begin(name, one.spec, one.state, received=known, now=now)
        self._woken()

    def moved(self, transitions: Sequence[Transition], floods: Sequence[FloodEdge]) -> None:
        for edge in floods:
            self._annunciator.flooded(edge)
        for transition in transitions:
            if transition.alarm in self._specs:  # else of a site that is just coming
                self._annunciator.moved(transition, self._specs[transition.alarm].cls)
        self._apply()

    def recorded(self, alarm: str, record: str) -> None:
        self._annunciator.recorded(alarm, record)

    def reached(self, alarm: str, record: str, stage: str) -> None:
        if stage in self._received_at and self._annunciator.received(alarm, record):
            self._apply()

    def obey(self, command: Command) -> Text | None:
        """A command to silence; or why not."""
        classes = classes_of(command)
        if classes is None:
            known = " ".join(one.value for one in AlarmClass)
            return Text(f"没有这个类别；可用：{known}", f"no such class; known: {known}")
        if command.alarm and command.alarm not in self.ends:
            known = ", ".join(self.ends)
            return Text(f"没有输出 {command.alarm}；已有：{known}", f"no output {command.alarm}; known: {known}")
        if not self._annunciator.silence(command.alarm, classes):
            return NOTHING_SOUNDS
        self._apply()
        return None

    def hear(self, scan: Scan | Command) -> None:
        """Every scan, after the rules; those with a key in them are looked at."""
        if isinstance(scan, Scan) and (scan.device, scan.group) in self._buttons:
            self._call(partial(self._look, scan))

    def failing(self) -> bool:
        statuses = [end.status() for end in self.ends.values()] + [push.status() for push in self._pushes.values()]
        return any(status["failing"] for status in statuses)

    def stop(self, kept: Collection[End] = ()) -> None:
        """Another one takes over, with the ends that it has `kept`; the others are released, off."""
        self._left = True
        if self._timer:
            self._timer.cancel()
        for end in self.ends.values():
            if end not in kept:
                end.release()
        for push in self._pushes.values():
            push.release()

    async def leave(self) -> None:
        """The orderly end: off where the site says so; `LEAVE_S` at most."""
        self._left = True
        if self._timer:
            self._timer.cancel()
        leaving = [self.ends[one.id] for one in self._outputs if one.off_at_stop]
        for end in leaving:
            end.set(False, new=True)
        until = self._clock.monotonic() + LEAVE_S
        while self._clock.monotonic() < until and not all(end.settled() for end in leaving):
            await self._clock.sleep_until(self._clock.monotonic() + 0.02)

    def views(self) -> dict[str, Callable[[], object]]:
        """Status by part, for `gateway.views`."""
        return {
            **{f"output {one.id}": partial(self._status, one) for one in self._outputs},
            **{f"key {one.id}": partial(self._key_status, one) for one in self._keys},
        }

    def _status(self, output: OutputSpec) -> dict[str, Any]:
        calling = self._annunciator.calling(output.id)
        shown = self._annunciator.shown(self._clock.monotonic())[output.id]
        return {
            "kind": output.kind.value,
            "classes": sorted(output.classes),
            "shows": shown.look.value,
            **self.ends[output.id].status(),
            "for": calling[:10],
            "alarms": len(calling),
        }

    def _key_status(self, key: KeySpec) -> dict[str, Any]:
        push = self._pushes.get(key.id)
        return {"classes": sorted(key.classes), **(push.status() if push else {"point": key.end})}

    def _look(self, scan: Scan) -> None:
        for key, column, button in self._buttons[scan.device, scan.group]:
            good = Quality(scan.qualities[column]).level is Level.GOOD
            if button.take((scan.values[column] == key.pressed) if good else None):
                self._press(key)

    def _press(self, key: KeySpec) -> None:
        """Silence first: who presses wants quiet; then each alarm is acknowledged."""
        at, who = self._clock.monotonic(), f"按键 key {key.id}"
        if self._annunciator.sounds(key.classes):
            self._command(Command(Action.SILENCE, "", who, at, value=" ".join(sorted(key.classes))))
        for alarm in self._annunciator.unacknowledged(key.classes):
            self._command(Command(Action.ACKNOWLEDGE, alarm, who, at))

    def _call(self, what: Callable[[], None]) -> None:
        self._guard.call(PART, what)

    def _woken(self) -> None:
        """Time alone changed something. Whatever goes wrong here, there is a next time."""
        self._timer = self._clock.call_at(self._clock.monotonic() + RENEW_S, self._woken)
        self._call(self._work)

    def _work(self) -> None:
        now = self._clock.monotonic()
        for name in self._annunciator.over(now):
            longest = next(one.longest_on_s for one in self._outputs if one.id == name)
            why = f"已响满 {longest:g} 秒 longest on-time, {longest:g} s, is over"
            self._command(Command(Action.SILENCE, name, f"输出 output {name}", now, why))
        if now >= self._renew_at:
            self._renew_at = housekeeping(now + RENEW_S - HOUSEKEEPING_S)
            for end in self.ends.values():
                end.renew()
            for push in self._pushes.values():
                push.open()
        self._apply()

    def _apply(self) -> None:
        """Show what is to be shown now, and wake up when that changes by itself."""
        if self._left:
            return
        now = self._clock.monotonic()
        shown = self._annunciator.shown(now)
        for name, one in shown.items():
            self.ends[name].set(lit(one, now), new=one.since == now)
        at = min([self._annunciator.due, self._renew_at, *(toggles_at(one, now) for one in shown.values())])
        if self._timer:
            self._timer.cancel()
        self._timer = self._clock.call_at(max(at, now), self._woken)
