"""Do the tests bite? Changes the program in small ways and runs the tests on each: ``make mutants``.

    python -m tests.mutation                    every mutant of rules/; goes on where the last run ended
    python -m tests.mutation --room codec       of another room (tests/mutation/suites.py)
    python -m tests.mutation --sample 300       so many, picked by --seed
    python -m tests.mutation --only leaf,alarm  of these modules
    python -m tests.mutation --head             of what is committed, not of what lies in the work tree

A mutant is *killed* when a test fails or takes far too long, and has *survived* when all tests that run its line pass. There are two
rounds: with an eighth of the examples of each property, and what survives that with all of them. The tree is copied before the start, so that
work on it may go on; every mutant lives in memory, in a process of its own (tests/mutation/trial.py). Results are kept in
``.mutants.jsonl``: a killed mutant is not tried again as long as its module and the file of the test that killed it are unchanged, a survivor as
long as nothing of the tests is changed. docs/MUTANTS.md explains the survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.mutation.mutants import Mutant
from tests.mutation.suites import SUITES, all_mutants, test_files, why_harmless
from tests.mutation.trial import FEW, Outcome, Seen, Trial, fits, plan, record, try_in_place, try_loaded

ROOT = Path(__file__).parents[2]
RESULTS = Path(os.environ.get("GENGFU_MUTANTS", ROOT / ".mutants.jsonl"))
PARTS = ("rules", "gateway", "drivers", "firmware_sim", "district", "tests", "examples", "docs")
LOADED = ("hypothesis", "pytest", "pydantic", "yaml", "pytest_asyncio", "cryptography.x509")
"""What every child needs and no mutant touches is loaded once."""


class Results:
    """What is known of mutants, on the disk."""

    def __init__(self, tree: Path, files: Sequence[Path]) -> None:
        self._hashes = {str(file.relative_to(tree)): _hash(file.read_bytes()) for file in files}
        self._all = _hash("".join(self._hashes.values()).encode())
        self._known: dict[str, str] = {}
        for row in _rows():
            until = self._hashes.get(row["killer"].partition("::")[0]) if "::" in row["killer"] else self._all
            if row["tests"] == until:
                self._known[row["key"]] = row["killer"]
            else:
                self._known.pop(row["key"], None)

    def killer(self, mutant: Mutant) -> str | None:
        """None: not tried; empty: survived."""
        return self._known.get(_key(mutant))

    def note(self, outcome: Outcome, file: IO[str]) -> None:
        self._known[_key(outcome.mutant)] = outcome.killer
        until = self._hashes.get(outcome.killer.partition("::")[0], self._all)
        row = {"key": _key(outcome.mutant), "killer": outcome.killer, "tests": until, "mutant": outcome.mutant.name}
        file.write(json.dumps(row) + "\n")
        file.flush()


def _rows() -> list[dict[str, str]]:
    if not RESULTS.exists():
        return []
    rows = (json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
    return [row for row in rows if "killer" in row]


def _key(mutant: Mutant) -> str:
    return _hash(f"{mutant.module}\0{mutant.source()}".encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def copied(*, head: bool) -> Path:
    tree = Path(tempfile.mkdtemp(prefix="gengfu-mutants-")).resolve()
    if head:
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "x"], cwd=tree, check=True, input=archive.stdout)
        return tree
    for part in PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do the tests bite?")
    parser.add_argument("--room", choices=sorted(SUITES), default="rules")
    parser.add_argument("--sample", type=int, help="so many mutants, picked at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="modules, with commas")
    parser.add_argument("--head", action="store_true", help="what is committed, not the work tree")
    parser.add_argument(
        "--quick", action="store_true", help="the first round alone, with the tests of the modules alone"
    )
    given = parser.parse_args(arguments)
    tree = copied(head=given.head)
    try:
        return _try(tree, given)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _try(tree: Path, given: argparse.Namespace) -> int:
    suite = SUITES[given.room]
    only = given.only.split(",") if given.only else ()
    found = [one for one in all_mutants(suite, tree) if not only or one.module.rpartition(".")[2] in only]
    picked = random.Random(given.seed).sample(found, min(given.sample or len(found), len(found)))
    files = test_files(suite, tree)
    if given.quick:
        files = [
            file for file in files if file.stem.removeprefix("test_") in {m.module.rpartition(".")[2] for m in picked}
        ]
    for name in LOADED:
        importlib.import_module(name)
    sys.path[:0] = [str(tree)]
    results = Results(tree, files)
    asked = [one for one in picked if not why_harmless(one)]
    todo = [one for one in asked if results.killer(one) is None]
    commit = subprocess.run(["git", "describe", "--always"], cwd=ROOT, check=False, capture_output=True, text=True)
    _say(f"commit {commit.stdout.strip()}" + ("" if given.head else " and what the work tree has besides"))
    _say(f"{len(found)} mutants, {len(picked)} picked, {len(asked) - len(todo)} of them known, {len(todo)} to try")
    if todo:
        modules = {str(tree / (one.module.replace(".", "/") + ".py")): one.module for one in found}
        seen = record(files, modules, tree)
        if seen.failed:
            _say("left out, since they fail without any mutant:", *seen.failed)
            seen = seen.without(seen.failed)
        Rounds(tree, files, seen, results).go(todo, quick=given.quick)
    return _tell(picked, Results(tree, files))


class Rounds:
    """The first round with few examples, the second with all; each first in place, then loaded anew."""

    def __init__(self, tree: Path, files: Sequence[Path], seen: Seen, results: Results) -> None:
        self._tree, self._files, self._seen, self._results = tree, files, seen, results
        self._kills: Counter[str] = Counter()

    def go(self, todo: Sequence[Mutant], *, quick: bool) -> None:
        with RESULTS.open("a", encoding="utf-8") as kept:
            left = self._round(todo, FEW, kept, last=quick)
            if not quick:
                _say(f"{len(left)} survived the first round")
                self._round(left, 1, kept, last=True)

    def _round(self, todo: Sequence[Mutant], part: int, kept: IO[str], *, last: bool) -> list[Mutant]:
        log = self._tree / f"round{part}.jsonl"
        place = {id(one): number for number, one in enumerate(todo)}
        with log.open("w") as lines:

            def told(outcome: Outcome) -> None:
                self._kills[outcome.killer] += 1
                if outcome.killer or last:
                    self._results.note(outcome, kept)
                number = place[id(outcome.mutant)]
                lines.write(json.dumps([number, outcome.killer]) + "\n")
                lines.flush()
                _say(f"{number + 1}/{len(todo)} {outcome.killer or 'SURVIVED'}  {outcome.mutant.name}")

            quick = [one for one in todo if fits(one, self._seen)]
            try_in_place(self._files, self._trials(quick), told, part, self._tree)
            fitting = {id(one) for one in quick}
            for one in todo:
                if id(one) not in fitting:
                    told(try_loaded(plan(one, self._seen, self._kills), part, self._tree))
        outcomes = dict(json.loads(line) for line in log.read_text().splitlines())
        assert len(outcomes) == len(todo), "the process that holds the tests ended before its time"
        return [one for number, one in enumerate(todo) if not outcomes[number]]

    def _trials(self, todo: Sequence[Mutant]) -> Callable[[], Iterator[Trial]]:
        return lambda: (plan(one, self._seen, self._kills) for one in todo)


def _tell(picked: Sequence[Mutant], results: Results) -> int:
    by_module: dict[str, list[str | None]] = {}
    for one in sorted(picked, key=lambda one: (one.module, one.line)):
        if why := why_harmless(one):
            by_module.setdefault(one.module, []).append(None)
            _say(f"harmless: {one.name}: {why}")
            continue
        killer = results.killer(one)
        by_module.setdefault(one.module, []).append(killer)
        if not killer:
            _say(f"survived: {one.name}")
    for module, killers in by_module.items():
        _say(f"{module:32} {_sums(killers)}")
    _say(_sums([killer for killers in by_module.values() for killer in killers]))
    return 0


def _sums(killers: Sequence[str | None]) -> str:
    tried = [killer for killer in killers if killer is not None]
    killed, total = sum(map(bool, tried)), len(tried)
    low, high = wilson(killed, total)
    said = f"{killed} of {total} mutants killed, {100 * killed / max(total, 1):.1f} % ({100 * low:.0f} to {100 * high:.0f})"
    return said + (f", {len(killers) - total} harmless" if len(killers) > total else "")


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def _say(*words: Any) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
