"""Runs the tests on a mutant, each in a process of its own: which tests look at it, and whether one of them notices.

* `record`: all tests once, with coverage by test: which lines each runs, and what it costs. Without that a mutant costs all tests.
* `try_in_place`: the tests are loaded once; each mutant is a fork in which the functions of its module get the changed code. For mutants
  inside functions that nothing called while modules were loaded: costs tenths of a second.
* `try_loaded`: everything is loaded anew with the mutant in the place of its module: for the others, seconds.

Only tests that run the changed line are run, the cheapest and the likeliest to notice first, up to the first that fails. A property is tried with the
same examples each time, and never made smaller. What takes far too long, or too much memory, is killed.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.util
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

from tests.mutation.mutants import Mutant

PATIENCE_S = 5.0
"""Processor time that a test may take besides three times what it took without a mutant, all examples and coverage included."""
LIMIT_S = 300.0
"""A mutant that neither ends nor computes so long hangs: killed."""
MEMORY_BYTES = 3 << 30
FEW = 8
"""Examples of a property in the first round: this part of them."""


class Seen(NamedTuple):
    """What the recording says: a test's lines by module, what it cost; lines that ran while modules were loaded."""

    lines: dict[str, dict[str, list[int]]]
    cost_s: dict[str, float]
    loading: dict[str, list[int]]
    failed: list[str]

    def without(self, tests: Iterable[str]) -> Seen:
        left_out = set(tests)
        return self._replace(cost_s={test: cost for test, cost in self.cost_s.items() if test not in left_out})


class Outcome(NamedTuple):
    mutant: Mutant
    killer: str
    """Empty: survived. Otherwise the test that noticed, or what ended it."""


class Trial(NamedTuple):
    """A mutant, and the tests for it in the order in which they are tried."""

    mutant: Mutant
    tests: tuple[str, ...]
    limits_s: tuple[float, ...]
    """Processor time for each of them."""


def plan(mutant: Mutant, seen: Seen, kills: Counter[str]) -> Trial:
    """Tests that run one of its lines; what runs at loading is looked at by every test, first by those of the module."""
    loaded = not mutant.where or bool(set(mutant.lines) & set(seen.loading.get(mutant.module, ())))
    wanted = set(mutant.lines)
    found = [test for test in seen.cost_s if loaded or wanted & set(seen.lines.get(test, {}).get(mutant.module, ()))]
    own = f"/test_{mutant.module.rpartition('.')[2]}.py::"
    found.sort(key=lambda test: (seen.cost_s[test] + 0.01) / (1 + kills[test] + 50 * (own in test)))
    return Trial(mutant, tuple(found), tuple(PATIENCE_S + 3 * seen.cost_s[test] for test in found))


def options(tree: Path) -> list[str]:
    common = ["-q", "-p", "no:cacheprovider", "--capture=no", "--rootdir", str(tree), "--hypothesis-seed=1"]
    return [*common, "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # loaded before the fork, and no tests


def few(items: Iterable[pytest.Item], part: int) -> None:
    """Properties with a part of their examples, without a memory of failures and without making them smaller."""
    from hypothesis import HealthCheck, Phase, settings

    for item in items:
        test = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        given = getattr(test, "_hypothesis_internal_use_settings", None)
        if given is not None:
            test._hypothesis_internal_use_settings = settings(  # type: ignore[union-attr]  # it has them
                given,
                max_examples=max(5, given.max_examples // part),
                phases=(Phase.explicit, Phase.generate),
                database=None,
                deadline=None,
                derandomize=False,
                suppress_health_check=list(HealthCheck),
            )


# --- recording ---------------------------------------------------------------------------------------------------


class Recorder:
    """A pytest plugin: lines and cost of each test."""

    def __init__(self, modules: dict[str, str]) -> None:
        """`modules`: file -> name."""
        import coverage

        self._modules = modules
        self._coverage = coverage.Coverage(data_file=None, include=list(modules), config_file=False)
        self.cost_s: dict[str, float] = {}
        self.failed: list[str] = []
        self._coverage.start()
        self._coverage.switch_context("loading")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        few(items, 1)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        before = time.process_time()
        result = yield
        self.cost_s[item.nodeid] = time.process_time() - before
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def seen(self) -> Seen:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {}
        loading: dict[str, list[int]] = {}
        for file in data.measured_files():
            name = self._modules[file]
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    (loading if test == "loading" else lines.setdefault(test, {})).setdefault(name, []).append(line)
        return Seen(lines, self.cost_s, loading, self.failed)


def record(files: Sequence[Path], modules: dict[str, str], tree: Path) -> Seen:
    """All tests once, in a child."""
    kept = tree / "seen.json"

    def work() -> int:
        recorder = Recorder(modules)
        pytest.main([*options(tree), *map(str, files)], plugins=[recorder])
        kept.write_text(json.dumps(recorder.seen()._asdict()))
        return 0

    status = in_child(work, tree, None)
    if status:
        raise SystemExit("the tests cannot be recorded")
    return Seen(**json.loads(kept.read_text()))


# --- in place ----------------------------------------------------------------------------------------------------


class InPlace:
    """A pytest plugin that, instead of running the tests, forks for each trial."""

    def __init__(self, trials: Callable[[], Iterator[Trial]], told: Callable[[Outcome], None], part: int) -> None:
        self._trials = trials
        self._told = told
        self._part = part

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        few(items, self._part)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions = _functions()
        gc.freeze()  # so that a child does not copy it all
        for trial in self._trials():
            self._told(Outcome(trial.mutant, _forked(session, trial, items, functions)))
        return True


def _functions() -> dict[str, list[FunctionType]]:
    found: dict[str, list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            found.setdefault(one.__code__.co_filename, []).append(one)
    return found


def _forked(
    session: pytest.Session, trial: Trial, items: dict[str, pytest.Item], functions: dict[str, list[FunctionType]]
) -> str:
    reading, writing = os.pipe()

    def work() -> int:
        os.close(reading)
        patch(trial.mutant, functions)
        chosen = [items[test] for test in trial.tests]
        for item, following, limit_s in zip(chosen, (*chosen[1:], None), trial.limits_s, strict=True):
            allow(limit_s)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                os.write(writing, item.nodeid.encode()[:2000])
                return 1
        return 0

    status = in_child(work, None, sum(trial.limits_s))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        killer = pipe.read().decode(errors="replace")
    return killer or _ending(status)


def patch(mutant: Mutant, functions: dict[str, list[FunctionType]]) -> None:
    """Gives the living functions of the mutant's module the changed code."""
    file = sys.modules[mutant.module].__file__
    assert file is not None
    original = compile(Path(file).read_text(encoding="utf-8"), file, "exec")
    changed = compile(mutant.source(), file, "exec")
    new: dict[tuple[str, int], CodeType] = {}
    for old, made in zip(_codes(original), _codes(changed), strict=True):
        assert old.co_qualname == made.co_qualname
        new[old.co_qualname, old.co_firstlineno] = made
    for function in functions.get(file, ()):
        code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            function.__code__ = code


def fits(mutant: Mutant, seen: Seen) -> bool:
    """Whether it may be tried in place: inside a function that nothing called at loading, and with the same functions inside."""
    if not mutant.where or set(mutant.lines) & set(seen.loading.get(mutant.module, ())):
        return False
    try:
        before = [code.co_qualname for code in _codes(compile(mutant.tree, "m", "exec"))]
        after = [code.co_qualname for code in _codes(compile(mutant.source(), "m", "exec"))]
    except SyntaxError:
        return False
    return before == after


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


# --- loaded anew -------------------------------------------------------------------------------------------------


class InMemory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the mutant's text."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self.mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.source(), f"<mutant of {self.mutant.module}>", "exec"), module.__dict__)


class Chosen:
    """A pytest plugin: only these tests, in their order."""

    def __init__(self, trial: Trial, part: int) -> None:
        self._limits = dict(zip(trial.tests, trial.limits_s, strict=True))
        self._part = part
        self.killer = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[test] for test in self._limits if test in by_id]
        few(items, self._part)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        allow(self._limits[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.killer:
            self.killer = report.nodeid


def try_loaded(trial: Trial, part: int, tree: Path) -> Outcome:
    kept = tree / "killer"
    kept.unlink(missing_ok=True)

    def work() -> int:
        sys.meta_path.insert(0, InMemory(trial.mutant))
        chosen = Chosen(trial, part)
        files = sorted({test.partition("::")[0] for test in trial.tests})
        status = pytest.main(["-x", *options(tree), *files], plugins=[chosen])
        kept.write_text(chosen.killer)
        return int(status)

    status = in_child(work, tree, 30 + sum(trial.limits_s)) if trial.tests else 0
    killer = kept.read_text() if kept.exists() else ""
    return Outcome(trial.mutant, killer or _ending(status))


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with {status}" if status else ""
    return f"took too long ({signal.Signals(-status).name})"


# --- a process for each ------------------------------------------------------------------------------------------


def in_child(work: Callable[[], int], tree: Path | None, limit_s: float | None) -> int:
    """Its exit status, or minus the signal that ended it. `limit_s`: processor time; with one it is silent."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return _wait(child, None if limit_s is None else max(LIMIT_S, 4 * limit_s))
    try:
        os.setsid()
        if tree is not None:
            os.chdir(tree)
        if limit_s is not None:
            _bound(limit_s)
        status = work()
        sys.stdout.flush()
        os._exit(status)
    except BaseException:  # noqa: BLE001  # a child must not go on as if it were the parent
        traceback.print_exc()
    finally:
        os._exit(99)


def allow(limit_s: float) -> None:
    """So much more processor time, then the process is ended."""
    until_s = int(time.process_time() + limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until_s, resource.RLIM_INFINITY))


def _bound(limit_s: float) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    allow(limit_s)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wait(child: int, limit_s: float | None) -> int:
    end = math.inf if limit_s is None else time.monotonic() + limit_s
    status = None
    try:
        while status is None and time.monotonic() < end:
            done, how = os.waitpid(child, 0 if end == math.inf else os.WNOHANG)
            status = how if done else None
            time.sleep(0.005 if status is None else 0)
    finally:  # also when somebody interrupts: a child has a session of its own, and would go on
        if status is None:
            os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def try_in_place(
    files: Sequence[Path],
    trials: Callable[[], Iterator[Trial]],
    told: Callable[[Outcome], None],
    part: int,
    tree: Path,
) -> None:
    """`trials` and `told` run in the child that holds the loaded tests."""

    def work() -> int:
        quiet: Any = InPlace(trials, told, part)
        return int(pytest.main([*options(tree), *map(str, files)], plugins=[quiet]))

    in_child(work, tree, None)
