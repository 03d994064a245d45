"""Commands about a site's rules, which need no running gateway: test-rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from gateway import config
from gateway.commands.console import EX_CONFIG, AsJson, err, out, table
from gateway.errors import ConfigError, Mistake
from gateway.judged import Judged, judged
from gateway.site import scenarios as scenario_files
from rules.scenario import Difference, Scenario, play


class Failed(NamedTuple):
    """One difference, with where it is."""

    file: str
    scenario: str
    found: Difference

    def to_json(self) -> dict[str, object]:
        return {
            "file": self.file,
            "scenario": self.scenario,
            "time": self.found.at,
            "expected": self.found.expected,
            "seen": self.found.seen,
        }


def try_rules(
    site: Annotated[Path, typer.Argument(help="Site file. 站点文件")],
    scenarios: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Scenario files or folders; default: scenarios/*.yaml beside the site file. 场景文件或目录",
        ),
    ] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Fail also if an alarm has no scenario. 有报警没有场景也算失败")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test a site's rules with scenarios, without any device. 用场景测试规则，无需设备

    Exit status: 0 all passed, 1 something failed or there is no scenario, 78 the site or a scenario file is wrong.
    """
    rules, files = _load(site, scenarios)
    uncovered: list[str] = []
    if coverage:
        slow = [] if scenarios else _load(site, scenario_files.beside(site, deep=True))[1]
        uncovered = scenario_files.uncovered(rules, [one for _, ones in (*files, *slow) for one in ones])
    failed, passed, total = _play(rules, files)
    if as_json:
        answer: dict[str, object] = {
            "scenarios": total,
            "passed": passed,
            "failed": [one.to_json() for one in failed],
        }
        if coverage:
            answer["uncovered"] = uncovered
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
    else:
        _tell(failed, passed, total, uncovered)
    if failed or not total or uncovered:
        raise typer.Exit(1)


def _load(site: Path, named: Sequence[Path] | None) -> tuple[Judged, list[tuple[str, tuple[Scenario, ...]]]]:
    """The site's rules and the scenarios of each file; exits 78 after telling every mistake in all of them."""
    mistakes: list[Mistake] = []
    files: list[tuple[str, tuple[Scenario, ...]]] = []
    try:
        rules = judged(config.load(site))
        for path in _paths(site, named):
            try:
                files.append((str(path), scenario_files.load(path, rules)))
            except ConfigError as error:
                mistakes += error.mistakes
        if not mistakes:
            return rules, files
    except ConfigError as error:
        mistakes += error.mistakes
    for mistake in mistakes:
        err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
    err.print(f"{len(mistakes)} mistake(s); nothing was tested. 共 {len(mistakes)} 处错误，未作任何测试。")
    raise typer.Exit(EX_CONFIG)


def _paths(site: Path, named: Sequence[Path] | None) -> list[Path]:
    if not named:
        return scenario_files.beside(site)
    return [path for one in named for path in (sorted(one.glob("*.yaml")) if one.is_dir() else [one])]


def _play(rules: Judged, files: Iterable[tuple[str, tuple[Scenario, ...]]]) -> tuple[list[Failed], int, int]:
    """What failed, and how many passed of how many."""
    tracks = rules.tracks()
    failed: list[Failed] = []
    passed = total = 0
    with err.status("") as status:  # shows nothing where nobody watches
        for file, scenarios in files:
            for scenario in scenarios:
                total += 1
                status.update(f"{total} {scenario.name}")
                found = play(scenario, tracks, rules.specs, rules.watch)
                passed += not found
                failed += [Failed(file, scenario.name, one) for one in found]
    return failed, passed, total


def _tell(failed: Sequence[Failed], passed: int, total: int, uncovered: Sequence[str]) -> None:
    last = None
    for one in failed:
        if (one.file, one.scenario) != last:
            last = (one.file, one.scenario)
            err.print(f"{one.file}: {one.scenario}", style="red", markup=False, highlight=False, soft_wrap=True)
        expected, seen = one.found.expected, one.found.seen
        err.print(f"  {one.found.at:g} s  expected 应为  {expected}", markup=False, highlight=False, soft_wrap=True)
        err.print(
            f"  {'':{len(f'{one.found.at:g}')}}    seen 实为      {seen}", markup=False, highlight=False, soft_wrap=True
        )
    if uncovered:
        out.print(table("Alarms without a scenario 没有场景的报警", ("alarm 报警",), [(name,) for name in uncovered]))
    if not total:
        err.print("no scenario was found 没有找到场景", style="red")
    out.print(
        f"{total} scenarios, {passed} passed, {total - passed} failed "
        f"共 {total} 个场景，{passed} 个通过，{total - passed} 个失败"
    )
