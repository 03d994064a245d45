"""The tool that asks whether the tests of the rules bite: what it changes, and a few mutants of the smallest modules."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants

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
        ("x = True", ["True -> False"]),
        ("x = 'text'", []),
        ("x = math.inf", ["math.inf -> 0.0"]),
        ("x = min(a)", ["min -> max"]),
        ("self.x = a", ["self.x = a -> (left out)"]),
        ("f(a)", ["f(a) -> (left out)"]),
        ("def f():\n    return a", ["return a -> return None"]),
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
