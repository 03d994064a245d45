"""The tool that asks whether the tests of the rules bite: what it changes, and a few mutants of the smallest modules."""

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.__main__ import wilson
from tests.mutation.mutants import mutants
from tests.mutation.suites import HARMLESS, SUITES, all_mutants, why_harmless
from tests.mutation.trial import Seen, fits, patch, plan

ROOT = Path(__file__).parents[2]


def changes(source):
    return [mutant.what for mutant in mutants("m", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("x = a == b", ["a == b -> a != b"]),
        ("x = a and b", ["a and b -> a or b"]),
        ("x = not a", ["not a -> a"]),
        ("x = a + b", ["a + b -> a - b"]),
        ("x = a + 'text'", []),
        ("x = 5", ["5 -> 6"]),
        ("x = 1e300", []),
        ("x = True", ["True -> False"]),
        ("x = 'text'", []),
        ("x = math.inf", ["math.inf -> 0.0"]),
        ("x = min(a)", ["min -> max"]),
        ("self.x = a", ["self.x = a -> (left out)"]),
        ("f(a)", ["f(a) -> (left out)"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("def f():\n    return False", ["False -> True"]),
        ("def f(a: int = 5) -> 'x':\n    '''Says 5.'''", ["5 -> 6"]),
        ("assert a < 5", []),
        ("if TYPE_CHECKING:\n    x = 5", []),
        ("__slots__ = ('a', 5)", []),
        ("while a:\n    break", ["break -> continue"]),
    ],
)
def test_each_change_is_one_that_a_test_of_rules_ought_to_notice(source, expected):
    assert changes(source) == expected


def test_a_mutant_differs_in_one_place_and_can_be_run():
    source = "def f(a):\n    if a > 5:\n        return a + 1\n    return 0\n"
    made = [mutant.source() for mutant in mutants("m", source)]
    assert len(set(made)) == len(made) == 8
    for one in made:
        compile(one, "mutant", "exec")


def test_a_mutant_knows_its_function_and_the_lines_of_its_statement():
    """Who runs one of the lines runs it; of a compound statement only its head."""
    source = "A = 5\nclass C:\n    b = 6\n    def f(self, a=7):\n        if (a\n                > 8):\n            return 9\n"
    found = {
        mutant.what[0]: (mutant.where, mutant.lines) for mutant in mutants("m", source) if mutant.what[0].isdigit()
    }
    assert found == {
        "5": ("", (1,)),
        "6": ("", (3,)),
        "7": ("", (4,)),
        "8": ("C.f", (5, 6)),
        "9": ("C.f", (7,)),
    }


def test_what_runs_a_line_is_tried_on_it_and_the_cheap_first():
    """What runs while modules are loaded is tried on all."""
    inside, outside = (next(mutants("m", source)) for source in ("def f():\n    a = 5\n", "a = 5\n"))
    lines = {"one": {"m": [1]}, "two": {"m": [1, 2]}, "three": {"m": [2]}, "other": {"n": [2]}}
    seen = Seen(lines, {"one": 1.0, "two": 2.0, "three": 1.0, "other": 0.0, "none": 3.0}, {"m": [1]}, [])
    assert plan(inside, seen, Counter()).tests == ("three", "two")
    assert plan(inside, seen, Counter({"two": 9})).tests == ("two", "three")
    assert plan(outside, seen, Counter()).tests == ("other", "one", "three", "two", "none")
    assert fits(inside, seen)
    assert not fits(outside, seen)


@pytest.mark.parametrize(("what", "answers"), [("5 -> 6", (6, 6, 6)), ("6 -> 7", (5, 7, 7))])
def test_living_functions_get_the_changed_code(tmp_path, monkeypatch, what, answers):
    """Methods, closures and all, wherever somebody holds them."""
    name = f"changed_{what[0]}"
    source = "class C:\n\n    def f(self):\n        return 5\n\n\ndef outer():\n\n    def inner():\n        return 6\n    return inner\n"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    method, inner = module.C.f, module.outer()
    (mutant,) = (one for one in mutants(name, source) if one.what == what)
    patch(mutant, {module.__file__: [method, module.outer, inner]})
    assert (method(None), inner(), module.outer()()) == answers


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 0, 0, 100), (85, 100, 77, 91), (0, 10, 0, 28), (10, 10, 72, 100)]
)
def test_a_share_has_an_interval(hits, total, low, high):
    assert tuple(round(100 * one) for one in wilson(hits, total)) == (low, high)


def test_what_is_called_harmless_exists():
    """A change of the program may make it harmful."""
    everything = [mutant for suite in SUITES.values() for mutant in all_mutants(suite, ROOT)]
    assert HARMLESS.keys() == {(one.module, one.where, one.what, one.nth) for one in everything if why_harmless(one)}


def test_the_tests_of_truth_and_timing_bite(tmp_path):
    """A small share of ``make mutants``, each with the tests of its own module alone."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--only", "timing,truth", "--sample", "8", "--quick"],
        capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
        env={**os.environ, "GENGFU_MUTANTS": str(tmp_path / "results.jsonl")},
    )  # fmt: skip
    found = re.search(r"(\d+) of 8 mutants killed", told.stdout)
    assert found, told.stdout + told.stderr
    assert int(found[1]) >= 6, told.stdout
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 8
