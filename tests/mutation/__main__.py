"""Do the tests of the rules bite? Changes the program in small ways and runs the tests on each: ``make mutants``.

    python -m tests.mutation                    every mutant of rules/: hours; goes on where the last run ended
    python -m tests.mutation --sample 150       so many, picked by --seed
    python -m tests.mutation --only leaf,alarm  of these modules

A mutant is *killed* when a test fails or takes too long, and has *survived* when all tests pass. The tree is copied before the start, so
that work on it may go on; every mutant runs in a process of its own, forked from one that has the test runner loaded, and
lives in memory only. Results are kept in ``.mutants.jsonl``, by the text of module and tests: what is unchanged is not tried
again. docs/MUTANTS.md explains the survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
RESULTS = Path(os.environ.get("GENGFU_MUTANTS", ROOT / ".mutants.jsonl"))
PARTS = ("rules", "gateway", "drivers", "tests")
LIMIT_S = 180.0
"""A mutant that takes longer hangs: killed."""
OTHERS = ("test_scenario", "test_scenarios", "test_engine", "test_properties")
"""Tried after a module's own tests, before the rest: they look at everything."""
SKIPPED = frozenset({"__init__", "texts"})
"""`texts`: words, which other tests compare."""


class InMemory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the mutant's text."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self.mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.source(), f"<mutant of {self.mutant.module}>", "exec"), module.__dict__)


def files_for(module: str, tree: Path, *, quick: bool) -> list[str]:
    """All test files of the rules, the likeliest to notice first; `quick`: those of the module alone."""
    own = module.rpartition(".")[2]
    if quick:
        return [str(tree / f"tests/rules/test_{own}.py")]
    files = [file for file in sorted((tree / "tests/rules").glob("test_*.py")) if file.stem != "test_texts"]
    rank = {f"test_{own}": 0, **{name: 1 + n for n, name in enumerate(OTHERS)}}
    return [str(file) for file in sorted(files, key=lambda file: rank.get(file.stem, len(rank)))]


def run(mutant: Mutant | None, tests: Sequence[str], tree: Path) -> bool:
    """In a child: whether all tests pass."""
    child = os.fork()
    if child:
        return _wait(child)
    try:
        os.setsid()
        os.chdir(tree)
        if mutant is not None:  # without one, what fails is worth reading
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
        sys.path[:0] = [str(tree)]
        if mutant is not None:
            sys.meta_path.insert(0, InMemory(mutant))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(tree), "--hypothesis-seed=1"]
        loaded = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # before the fork, and not tests
        status = pytest.main([*options, *loaded, *tests])
        sys.stdout.flush()
        os._exit(0 if status == 0 else 1)
    except BaseException:  # noqa: BLE001  # a child must not go on as if it were the parent
        traceback.print_exc()
    finally:
        os._exit(2)


def _wait(child: int) -> bool:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def key(mutant: Mutant, tests: str) -> str:
    return hashlib.sha256(f"{mutant.name}\0{mutant.source()}\0{tests}".encode()).hexdigest()[:24]


def chosen(tree: Path, only: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    found = [
        mutant
        for file in sorted((tree / "rules").glob("*.py"))
        if file.stem not in SKIPPED and (not only or file.stem in only)
        for mutant in mutants(f"rules.{file.stem}", file.read_text(encoding="utf-8"))
    ]
    return found if sample is None else random.Random(seed).sample(found, min(sample, len(found)))


def copied() -> Path:
    tree = Path(tempfile.mkdtemp(prefix="gengfu-mutants-"))
    for part in PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    for file in ("pyproject.toml", "examples", "docs"):
        source = ROOT / file
        shutil.copytree(source, tree / file) if source.is_dir() else shutil.copy(source, tree / file)
    return tree


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do the tests of the rules bite?")
    parser.add_argument("--sample", type=int, help="so many mutants, picked at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="modules, with commas")
    parser.add_argument(
        "--quick", action="store_true", help="only the tests of the module itself: says less, costs little"
    )
    given = parser.parse_args(arguments)
    tree = copied()
    try:
        picked = chosen(tree, given.only.split(",") if given.only else (), given.sample, given.seed)
        return _tell(*_try(tree, picked, quick=given.quick))
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _try(tree: Path, picked: Sequence[Mutant], *, quick: bool) -> tuple[int, list[str]]:
    """How many were killed, and the names of the survivors."""
    texts = b"".join(file.read_bytes() for file in sorted((tree / "tests/rules").glob("*.py")))
    tests = f"{hashlib.sha256(texts).hexdigest()} {quick}"
    known = _known()
    importlib.import_module("hypothesis")  # what every child needs is loaded once
    importlib.import_module("pytest")
    first = files_for(picked[0].module if quick else "", tree, quick=quick)
    if not run(None, first, tree):
        sys.stdout.write("the tests fail without any mutant: nothing can be said\n")
        raise SystemExit(2)
    killed, survivors = 0, []
    with RESULTS.open("a", encoding="utf-8") as results:
        for number, mutant in enumerate(picked, 1):
            name = key(mutant, tests)
            if name not in known:
                known[name] = run(mutant, files_for(mutant.module, tree, quick=quick), tree)
                results.write(json.dumps({"key": name, "survived": known[name], "mutant": mutant.name}) + "\n")
                results.flush()
            killed += not known[name]
            survivors += [mutant.name] * known[name]
            sys.stdout.write(f"{number}/{len(picked)} {'SURVIVED' if known[name] else 'killed'} {mutant.name}\n")
            sys.stdout.flush()
    return killed, survivors


def _known() -> dict[str, bool]:
    if not RESULTS.exists():
        return {}
    lines = (json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
    return {line["key"]: line["survived"] for line in lines}


def _tell(killed: int, survivors: Sequence[str]) -> int:
    total = killed + len(survivors)
    for name in survivors:
        sys.stdout.write(f"survived: {name}\n")
    sys.stdout.write(f"{killed} of {total} mutants killed, {100 * killed / max(total, 1):.1f} %\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
