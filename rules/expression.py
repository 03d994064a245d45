"""A free expression over several points, in a part of CEL (Common Expression Language, cel.dev).

What is left of CEL: ``true false && || ! == != < <= > >= + - * ?: ( )``, texts in quotes, numbers, `abs`, `min`, `max` and the
names of the points. No division (by what may be zero; ``a > 5 * b`` says it), no lists, members or macros: so an
expression costs what its length says, at most `LONGEST` characters and `MOST_POINTS` points, and nothing in it can fail to end.

Guarantees
* All numbers are doubles, ``5`` as much as ``5.0``: CEL refuses to compare a whole number with a measured one.
* CEL knows no types before it runs: `mistake` tries an expression on many values of the points' kinds.
* Unknown unless every point has a usable value: CEL's ``error || true`` is true and NaN compares as false, which would hide
  a missing one. An uncertain value makes the answer uncertain. What fails although it was tried is unknown.
* On the second track an answer counts when every group of points gave another frame since it became so.

The library is imported when the first expression is built, without its command line (a stub stands for it): about 4 MiB
that a site without expressions does not pay.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from gateway.model import Level, Sample, Scan, Text, Value
from rules import spec
from rules.leaf import Leaf
from rules.truth import AGREE, GRADE, NOW, QUALITIES, SURE, UNKNOWN, level, number

LONGEST = 500
MOST_POINTS = 16
DEEPEST = 20
TRIALS = 128
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+)|(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<text>"[^"\\\n]*"|'[^'\\\n]*')|(?P<sign>&&|\|\||[=!<>]=|[-<>!+*?:(),])"""
)
_WORDS = frozenset({"true", "false"})
_FAILURES = (ValueError, TypeError, RuntimeError, ArithmeticError)
Key = tuple[str, int]


def _one(*given: Any) -> Any:
    return abs(given[0]) if len(given) == 1 and isinstance(given[0], float) else None


def _of(pick: Callable[..., Any]) -> Callable[..., Any]:
    """Of two numbers or more; None, which nothing can be done with, for anything else: what is raised in here is logged."""

    def picked(*given: Any) -> Any:
        return pick(given) if len(given) > 1 and all(isinstance(one, float) for one in given) else None

    return picked


_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": _one, "min": _of(min), "max": _of(max)}


@cache
def _library() -> Any:
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))  # else it imports a prompt, for nothing
    return importlib.import_module("cel")


class Program:
    """An expression that was read. ValueError, with a person's words as its argument, for one that cannot be."""

    __slots__ = ("_context", "_program", "literals", "names")

    def __init__(self, expr: str) -> None:
        tokens = list(_tokens(expr))
        self.names = {text for kind, text in tokens if kind == "name"} - _WORDS - _FUNCTIONS.keys()
        self.literals = [text for kind, text in tokens if kind in ("number", "text")]
        doubles = (f"{text}.0" if kind == "number" and "." not in text else text for kind, text in tokens)
        try:
            self._program = _library().compile(" ".join(doubles))
        except ValueError:
            raise ValueError(Text("不是表达式", "is no expression")) from None
        self._context = _library().Context(functions=_FUNCTIONS)

    def run(self, values: Mapping[str, bool | float | str]) -> Any:
        """May raise one of `_FAILURES`."""
        self._context.update(dict(values))
        return self._program.execute(self._context)


def _tokens(expr: str) -> list[tuple[str, str]]:
    if len(expr) > LONGEST:
        raise ValueError(Text(f"超过 {LONGEST} 个字符", f"is longer than {LONGEST} characters"))
    found, at, depth = [], 0, 0
    while at < len(expr):
        match = _TOKEN.match(expr, at)
        if match is None:
            hint = Text("；除法请改写为乘法", "; write a division as a product") if expr[at] in "/%" else Text("", "")
            raise ValueError(Text(f"不能用“{expr[at]}”{hint.zh}", f"'{expr[at]}' cannot be used{hint.en}"))
        kind, text, at = str(match.lastgroup), match.group(), match.end()
        depth += {"(": 1, "?": 1, "!": 1, "-": 1, ")": -1}.get(text, 0)
        if depth > DEEPEST:
            raise ValueError(Text("嵌套过深", "is nested too deeply"))
        if text == "null":  # what nothing is equal to: such an expression would never be true
            raise ValueError(Text("不能用“null”", "'null' cannot be used"))
        if kind != "space":
            found.append((kind, text))
    return found


def mistake(expr: str, kinds: Mapping[str, type[bool] | type[float] | type[str]]) -> Text | None:
    """Why an expression over points of these kinds cannot be a condition, as far as trying it can tell."""
    try:
        program = Program(expr)
    except ValueError as error:
        return error.args[0] if isinstance(error.args[0], Text) else Text("不是表达式", "is no expression")
    for name in sorted(program.names - kinds.keys()):
        return Text(f"points 中没有“{name}”", f"there is no '{name}' in points")
    for name in sorted(kinds.keys() - program.names):
        return Text(f"没有用到“{name}”", f"'{name}' is not used")
    numbers = [0.0, 1.0, -1.0, 1e6] + [
        float(one) + step for one in program.literals if one[0] not in "\"'" for step in (0, 1, -1)
    ]
    samples: dict[type, list[Any]] = {
        bool: [False, True],
        float: numbers,
        str: ["", *(one[1:-1] for one in program.literals if one[0] in "\"'")],
    }
    for trial in range(TRIALS):
        values = {
            name: samples[kind][trial * (2 * place + 1) // (place + 1) % len(samples[kind])]
            for place, (name, kind) in enumerate(sorted(kinds.items()))
        }
        try:
            answer = program.run(values)
        except _FAILURES:
            return Text("类型不符：比较和运算的两边须为同类", "kinds do not fit: both sides must be of one kind")
        if not isinstance(answer, bool):
            return Text("结果须为真或假", "must be true or false")
    return None


class Formula:
    """The leaf of an expression: fed by several groups, asked like one point."""

    __slots__ = (
        "_bools",
        "_fresh",
        "_inputs",
        "_levels",
        "_program",
        "_texts",
        "_values",
        "moved",
        "now",
        "scan",
        "sure",
    )

    def __init__(self, when: spec.Cel, columns: Mapping[str, tuple[Key, int]]) -> None:
        """`columns`: where each point is found. ValueError for what cannot be evaluated."""
        names = [name for name, _ in when.points]
        if not 0 < len(names) <= MOST_POINTS or len(set(names)) < len(names):
            raise ValueError("an expression over no points, too many, or one name twice")
        self._program = Program(when.expr)
        if self._program.names != set(names) or not all(map(NAME.fullmatch, names)):
            raise ValueError(f"an expression over other points: {when.expr}")
        self._bools = frozenset(when.bools)
        self._texts = frozenset(when.texts)
        self._inputs: dict[Key, list[tuple[str, int, str]]] = {}
        for name, point in when.points:
            if point not in columns:
                raise ValueError(f"no such point: {point}")
            key, column = columns[point]
            self._inputs.setdefault(key, []).append((name, column, point))
        self._values: dict[str, bool | float | str] = {}
        self._levels = dict.fromkeys(names, int(Level.BAD))
        self._fresh: set[Key] = set()
        """Groups that gave a frame since the answer became what it is."""
        self.now = self.sure = UNKNOWN
        self.moved = [-math.inf, -math.inf]
        self.scan: Scan | None = None

    @property
    def keys(self) -> list[Key]:
        return list(self._inputs)

    def take(self, scan: Scan, at: float) -> bool:
        self.scan = scan
        key = (scan.device, scan.group)
        changed = False
        for name, column, _ in self._inputs[key]:
            value = self._typed(name, scan.values[column])
            grade = int(Level.BAD) if value is None else level(scan.qualities[column], scan.values[column])
            if grade != self._levels[name] or (grade != Level.BAD and value != self._values.get(name)):
                changed = True
                self._levels[name] = grade
                if value is not None:
                    self._values[name] = value
        truth = self._judge() if changed else self.now
        sure = AGREE[self.sure][truth]
        if truth != self.now:
            self._fresh.clear()
            self.moved[NOW] = at
        else:
            self._fresh.add(key)
            if len(self._fresh) == len(self._inputs):
                sure = truth
        moved = truth != self.now or sure != self.sure
        if sure != self.sure:
            self.moved[SURE] = at
        self.now, self.sure = truth, sure
        return moved

    def _typed(self, name: str, value: Value) -> bool | float | str | None:
        if name in self._texts:
            return value if isinstance(value, str) else None
        x = number(value)
        return None if x is None else bool(x) if name in self._bools else float(x)

    def _judge(self) -> int:
        worst = max(self._levels.values())
        if worst == Level.BAD:
            return UNKNOWN
        try:
            answer = self._program.run(self._values)
        except _FAILURES:
            return UNKNOWN
        return GRADE[answer][worst] if isinstance(answer, bool) else UNKNOWN

    def doubt(self) -> None:
        """What it says is not to be relied on: nothing is known until the next scans."""
        self.now = self.sure = UNKNOWN
        self._levels = dict.fromkeys(self._levels, int(Level.BAD))

    def truth(self, track: int, at: float) -> int:
        return self.sure if track else self.now

    def witness(self, track: int, at: float, scan: Scan | None) -> Leaf:
        return self

    def sample(self) -> Sample | None:
        """The first of its points in the scan that came last."""
        if self.scan is None:
            return None
        _, column, point = self._inputs[self.scan.device, self.scan.group][0]
        quality = QUALITIES[self.scan.qualities[column]]
        return Sample(point, self.scan.values[column], quality, self.scan.at)
