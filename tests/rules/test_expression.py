"""Expressions: what is refused before it runs, what an answer rests on, and what it may cost."""

import re
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest

from gateway.model import Quality, Scan
from rules import spec
from rules.condition import Points, build
from rules.expression import LONGEST, MOST_POINTS, Program, mistake
from rules.truth import FALSE, FALSE_UNCERTAIN, NOW, SURE, TRUE, TRUE_UNCERTAIN, UNKNOWN

POINTS = Points({("d", 0): ("d/x", "d/on"), ("e", 0): ("e/y", "e/word")})
SUM = spec.Cel("x - 2 * y > 5 && !on", (("x", "d/x"), ("y", "e/y"), ("on", "d/on")), ("on",))


@pytest.mark.parametrize(
    ("expr", "en"),
    [
        ("x / 2 > 1", "'/' cannot be used; write a division as a product"),
        ("[x].all(i, i > 1)", r"'\[' cannot be used"),
        ("x.size() > 1", r"'\.' cannot be used"),
        ("'a\\'b' == t", "cannot be used"),
        ("x == null", "'null' cannot be used"),
        ("x >", "is no expression"),
        ("", "is no expression"),
        ("x x", "is no expression"),
        ("x + 1", "must be true or false"),
        ("x > t", "kinds do not fit"),
        ("x > 1 || on > 1", "kinds do not fit"),
        ("x < 5 ? on : t > 1", "kinds do not fit"),
        ("abs(on)", "must be true or false"),
        ("on ? x > 1 : x", "must be true or false"),
        ("on ? x : x > 1", "must be true or false"),
        ("abs(x, x) > 1", "kinds do not fit"),
        ("t == 'ab' ? x : x > 1", "must be true or false"),
        ("min(x) > 1", "kinds do not fit"),
        ("min(x, on) > 1", "kinds do not fit"),
        ("max(on, x) > 1", "kinds do not fit"),
        ("size(t) > 1", "there is no 'size' in points"),
        ("z > 1", "there is no 'z' in points"),
        ("(" * 21 + "x > 1" + ")" * 21, "nested too deeply"),
        ("x > 1 " + "|| x > 1 " * 60, f"longer than {LONGEST}"),
    ],
)
def test_what_cannot_be_a_condition_is_refused(expr, en):
    """In both languages, before anything runs."""
    kinds = {name: kind for name, kind in (("x", float), ("on", bool), ("t", str)) if name in expr}
    told = mistake(expr, kinds)
    assert told is not None
    assert told.zh
    assert re.search(en, told.en)


@pytest.mark.parametrize(
    "expr",
    [
        "x > 5",
        "x > 5.5 && on",
        "abs(x - 3) >= max(x, 2, 1) || t == 'up'",
        't != "关" ? x < 1 : !on',
        "-x < -1 && (on || x == 7)",
    ],
)
def test_whole_and_measured_numbers_go_together(expr):
    """CEL alone refuses ``x > 5`` for a measured x."""
    kinds = {name: kind for name, kind in (("x", float), ("on", bool), ("t", str)) if name in expr.replace("max", "")}
    assert mistake(expr, kinds) is None


def test_a_point_that_is_not_used_is_a_mistake():
    assert mistake("x > 5", {"x": float, "y": float}).en == "'y' is not used"


@pytest.mark.parametrize(
    "when",
    [
        spec.Cel("x > 1", ()),
        spec.Cel("x > 1", (("x", "d/none"),)),
        spec.Cel("x > 1", (("x", "d/x"), ("x", "e/y"))),
        spec.Cel("x > 1", (("x", "d/x"), ("y", "e/y"))),
        spec.Cel("x >", (("x", "d/x"),)),
    ],
)
def test_what_cannot_be_evaluated_is_not_built(when):
    with pytest.raises(ValueError):
        build(when, POINTS, 0.0)


def feed(condition, at, device, *values, quality=Quality.GOOD):
    for key, leaf in condition.leaves:
        if key == (device, 0):
            leaf.take(Scan(device, 0, at, values, bytes([quality] * len(values))), at)
    return [condition.root.truth(track, at) for track in (NOW, SURE)]


def test_unknown_until_all_points_are_there_and_sure_when_all_were_read_again():
    condition = build(SUM, POINTS, 0.0)
    assert feed(condition, 0.0, "d", 20.0, 0) == [UNKNOWN, UNKNOWN]
    assert feed(condition, 1.0, "e", 1.0, 0) == [TRUE, UNKNOWN]
    assert feed(condition, 2.0, "e", 1.5, 0) == [TRUE, UNKNOWN]
    assert feed(condition, 3.0, "d", 20.0, 0) == [TRUE, TRUE]
    assert feed(condition, 4.0, "d", 20.0, 1) == [FALSE, UNKNOWN]
    assert feed(condition, 5.0, "d", 20.0, 1) == [FALSE, UNKNOWN]
    assert feed(condition, 6.0, "e", 1.5, 0) == [FALSE, FALSE]


def test_a_missing_value_is_not_hidden_by_what_is_true_without_it():
    """CEL would say that ``error || true`` is true, and that NaN is not over a limit."""
    when = spec.Cel("x > 1 || y > 1", (("x", "d/x"), ("y", "e/y")))
    condition = build(when, POINTS, 0.0)
    feed(condition, 0.0, "d", 5.0, 0)
    assert feed(condition, 1.0, "e", 5.0, 0)[NOW] == TRUE
    assert feed(condition, 2.0, "e", None, 0, quality=Quality.NOT_RESPONDING) == [UNKNOWN, UNKNOWN]
    assert feed(condition, 3.0, "e", float("nan"), 0) == [UNKNOWN, UNKNOWN]
    assert feed(condition, 4.0, "e", "text", 0) == [UNKNOWN, UNKNOWN]
    assert feed(condition, 5.0, "e", 10**400, 0) == [UNKNOWN, UNKNOWN]


def test_doubt_makes_the_answer_doubtful():
    condition = build(SUM, POINTS, 0.0)
    feed(condition, 0.0, "d", 20.0, 0)
    assert feed(condition, 1.0, "e", 1.0, 0, quality=Quality.JUMPING)[NOW] == TRUE_UNCERTAIN
    assert feed(condition, 2.0, "e", 9.0, 0, quality=Quality.JUMPING)[NOW] == FALSE_UNCERTAIN
    [(_, leaf), _] = condition.leaves
    leaf.doubt()
    assert [condition.root.truth(track, 3.0) for track in (NOW, SURE)] == [UNKNOWN, UNKNOWN]
    assert leaf.sample().point == "e/y"


def test_the_longest_expression_ends_soon():
    """Nothing in it can loop: at its worst far below the time of a poll (bound at 5 x what was measured)."""
    program = Program("+".join(["abs(x)"] * 70) + " > 1")
    begun = time.process_time()
    for n in range(100):
        program.run({"x": float(n)})
    assert (time.process_time() - begun) / 100 < 0.002


def test_a_site_without_expressions_does_not_pay_for_them():
    """The library is not even imported; and where it is, its command line is not."""
    code = (
        "import sys\n"
        "from rules import spec, expression, condition\n"
        "assert not any(name.split('.')[0] == 'cel' for name in sys.modules)\n"
        "expression.Program('x > 1')\n"
        "assert 'cel' in sys.modules and 'prompt_toolkit' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_second_track_says_when_it_came_to_its_answer():
    """The cause of an alarm is the leaf that moved last, on the track that decided."""
    condition = build(SUM, POINTS, 0.0)
    feed(condition, 1.0, "d", 20.0, 0)
    feed(condition, 2.0, "e", 1.0, 0)
    feed(condition, 3.0, "e", 1.0, 0)
    assert feed(condition, 4.0, "d", 20.0, 0) == [TRUE, TRUE]
    assert condition.leaves[0][1].moved == [2.0, 4.0]


def test_after_a_doubt_the_same_values_are_an_answer_again():
    """Of every group: a value from before the doubt counts no more, and one that comes again does."""
    condition = build(SUM, POINTS, 0.0)
    feed(condition, 0.0, "d", 20.0, 0)
    feed(condition, 1.0, "e", 1.0, 0)
    condition.leaves[0][1].doubt()
    assert feed(condition, 2.0, "d", 20.0, 0)[NOW] == UNKNOWN
    assert feed(condition, 3.0, "e", 1.0, 0)[NOW] == TRUE


def test_as_deep_as_allowed_is_allowed():
    assert mistake("(" * 20 + "x > 1" + ")" * 20, {"x": float}) is None


def test_a_name_that_is_too_long_is_refused_beside_others():
    long = "a" * 33
    with pytest.raises(ValueError, match="other points"):
        build(spec.Cel(f"x > 1 && {long} > 1", (("x", "d/x"), (long, "e/y"))), POINTS, 0.0)


@pytest.mark.parametrize(("count", "allowed"), [(MOST_POINTS, True), (MOST_POINTS + 1, False)])
def test_only_so_many_points(count, allowed):
    names = tuple((f"p{n}", f"s/{n}") for n in range(count))
    points = Points({("s", 0): tuple(point for _, point in names)})
    when = spec.Cel(" + ".join(name for name, _ in names) + " > 1", names)
    with nullcontext() if allowed else pytest.raises(ValueError, match="too many"):
        build(when, points, 0.0)
