"""What a rule looked at when it moved: values, qualities, thresholds, and how the deciding value came to be what it is.

Guarantees
* Gathered only when an alarm moves; until then it costs one reference a scan (the engine's `History`).
* Bounded: `MOST_SAMPLES` points, `TREND` values before the deciding one, a condition of `LARGEST_WHEN` characters.
* A value is shown with the time and the quality at which it was read; one that was never read is not shown.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from gateway.model import Evidence, Sample, Scan
from rules.condition import Condition, Key
from rules.leaf import Leaf
from rules.spec import Condition as When
from rules.truth import NOW, QUALITIES

MOST_SAMPLES = 24
TREND = 8
LARGEST_WHEN = 4000
History = Mapping[Key, deque[Scan]]
"""The last scans of each group, the newest last."""


class Witnessed:
    """One condition of a rule, with what is told of it; made once, asked at each transition."""

    __slots__ = ("_crc", "_rule", "_when", "condition", "history", "when")

    def __init__(self, condition: Condition, when: When, rule: str, history: History) -> None:
        self.condition = condition
        self.when = when
        self._rule = rule
        self.history = history
        self._crc = zlib.crc32(repr(when).encode())
        self._when: Mapping[str, Any] | None = None

    def evidence(self, witness: Leaf | None, at: float) -> Evidence:
        """`witness`: what decided; None where the condition did not, such as for a person's command."""
        witness = witness or self.condition.root.witness(NOW, at, None)
        leaves = list({id(leaf): leaf for _, leaf in self.condition.leaves if leaf is not witness}.values())
        leaves.sort(key=lambda leaf: -leaf.truth(NOW, at))  # stable: else in the order of the rule
        found = [sample for leaf in (witness, *leaves) if (sample := leaf.sample()) is not None]
        samples = list({(sample.point, sample.at): sample for sample in found}.values())
        decided = witness.sample()
        trend = self._trend(decided) if decided is not None else ()
        kept, left_out = tuple(samples[:MOST_SAMPLES]), max(0, len(samples) - MOST_SAMPLES)
        return Evidence(kept, left_out, trend, self._rule, self._crc, self._told())

    def _trend(self, decided: Sample) -> tuple[Sample, ...]:
        key, column = self.condition.points.columns[decided.point]
        before = [scan for scan in self.history.get(key, ()) if scan.at < decided.at]
        return tuple(
            Sample(decided.point, scan.values[column], QUALITIES[scan.qualities[column]], scan.at)
            for scan in before[-TREND:]
        )

    def _told(self) -> Mapping[str, Any]:
        if self._when is None:
            told = described(self.when)
            self._when = told if len(json.dumps(told, default=str)) <= LARGEST_WHEN else {}
        return self._when


def described(when: Any) -> dict[str, Any]:
    """A condition in the words of the site file: ``{"above": {"point": "a/x", "limit": 5.0, "hysteresis": 1.0}}``."""
    name = re.sub(r"(?<=.)([A-Z])", r"_\1", type(when).__name__).lower()
    parts = {field.name: _part(getattr(when, field.name)) for field in fields(when)}
    return {name: parts["of"] if list(parts) == ["of"] else parts}


def _part(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_part(one) for one in value]
    return described(value) if is_dataclass(value) and not isinstance(value, type) else value
