"""What is said of an alarm, in both languages: the words of its transitions' records, of the log and of the console.

Guarantee: a bug in a text keeps no alarm back; then it is said with the words of the site file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from gateway.clock import Clock, spoken
from gateway.model import Draft, Point, Sample, State, Text, Transition
from gateway.restart import Guard
from gateway.wire import alarm, payloads
from rules import texts
from rules.spec import AlarmSpec


class Wording:
    """For the alarms and points of one site."""

    def __init__(
        self,
        specs: Mapping[str, AlarmSpec],
        points: Iterable[Point],
        simulated: frozenset[str],
        clock: Clock,
        guard: Guard,
    ) -> None:
        """`simulated`: alarms that look at simulated devices; their records say so."""
        self._specs, self._simulated = specs, simulated
        self._points = {point.id: point for point in points}
        self._clock, self._guard = clock, guard

    def words(self, transition: Transition) -> alarm.Words:
        text = self._specs[transition.alarm].text
        return self._guard.call("texts of alarms", partial(self._words, transition)) or alarm.Words(text, text)

    def draft(self, transition: Transition, words: alarm.Words) -> Draft:
        """Its record."""
        spec, simulated = self._specs[transition.alarm], transition.alarm in self._simulated
        return Draft(payloads.TRANSITION, transition.at, alarm.encode(transition, spec, words, simulated=simulated))

    def message(self, spec: AlarmSpec, state: State, since: float, sample: Sample | None) -> Text:
        """An alarm in words; `sample`: the value to be told."""
        value = texts.value_text(self._points.get(sample.point), sample) if sample else Text("", "")
        return texts.message(spec, state, spoken(self._clock, since), value)

    def _words(self, transition: Transition) -> alarm.Words:
        spec = self._specs[transition.alarm]
        samples = transition.evidence.samples if transition.evidence else ()
        told = self.message(spec, transition.after, transition.since, samples[0] if samples else None)
        return alarm.Words(texts.headline(spec), told)
