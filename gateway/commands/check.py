"""``gengfu check``: every mistake at once, what is unwise, how late an alarm can be, and what the disk will see."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.console import EX_CONFIG, AsJson, err, out, table
from gateway.errors import ConfigError, Mistake

if TYPE_CHECKING:  # what only some commands need is imported by them
    from gateway.blueprint import Site
    from gateway.check import CheckReport
    from gateway.forecast import Forecast
    from rules.scenario import Scenario


@dataclass
class _Seen:
    """What was found of one site file."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    report: CheckReport | None = None
    storage: Forecast | None = None
    certificates_days: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.mistakes,
            "mistakes": [asdict(one) for one in self.mistakes],
            "warnings": [asdict(one) for one in self.warnings],
            "site": self.report and self.report.to_json(),
            "storage": self.storage and asdict(self.storage),
            "certificates_days": self.certificates_days,
        }


def check(
    site: Annotated[Path, typer.Argument(help="Site file. 站点文件")],
    as_json: AsJson = False,
) -> None:
    """Check a site file: every mistake at once, what is unwise, and what the site will do. 检查站点文件

    A site in which a fire or personal alarm may take more than 10 s to leave is refused.
    Exit status: 0 no mistake (warnings do not count), 78 mistakes.
    """
    seen = _look(site)
    if as_json:
        sys.stdout.write(json.dumps(seen.to_json(), ensure_ascii=False, indent=1) + "\n")
    else:
        _print(seen)
    if seen.mistakes:
        raise typer.Exit(EX_CONFIG)


def _look(path: Path) -> _Seen:
    from gateway import check as checking
    from gateway import config, forecast, keys, lint

    try:
        site = config.load(path)
    except ConfigError as error:
        return _Seen(mistakes=list(error.mistakes))
    report, storage = checking.report(site), forecast.forecast(site)
    return _Seen(
        [*keys.mistakes(site), *lint.late(site, report)],
        [*_warnings(site, report), *_of_storage(site, storage)],
        report,
        storage,
        _lives(site),
    )


def _print(seen: _Seen) -> None:
    for one in seen.report.tables() if seen.report else ():
        out.print(table(one.title, one.columns, one.rows))
    if seen.storage:
        columns = ("", "quiet day 平静的一天", "busiest day 最忙的一天")
        out.print(table("Disk, estimated 存储估算", columns, seen.storage.rows()))
    for name, days in seen.certificates_days.items():
        out.print(f"certificate 证书 {name}: {days} days 天", markup=False, highlight=False)
    for warning in seen.warnings:
        out.print(f"warning 警告 {warning}", markup=False, highlight=False, soft_wrap=True)
    for mistake in seen.mistakes:
        err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
    if seen.mistakes:
        err.print(
            f"{len(seen.mistakes)} mistake(s); nothing was changed. 共 {len(seen.mistakes)} 处错误，未作任何更改。"
        )
    else:
        out.print("no mistakes 无错误")


def _of_storage(site: Site, storage: Forecast) -> list[Mistake]:
    from gateway import forecast

    return [Mistake(str(site.source), 1, "journal", one.en, one.zh) for one in forecast.warnings(site, storage)]


def _lives(site: Site) -> dict[str, int]:
    """Days that the certificates of the uplinks have left; those that cannot be read are mistakes already."""
    from gateway import certificates
    from gateway.clock import SystemClock

    now, found = SystemClock().wall(), {}
    for uplink in site.uplinks:
        for name in ("ca", "certificate"):
            with contextlib.suppress(OSError, ValueError):
                life = certificates.validity(Path(getattr(uplink, name)))
                found[f"{uplink.id} {name}"] = int((life.ends - now) // 86400)
    return found


def _warnings(site: Site, report: CheckReport) -> list[Mistake]:
    """What is unwise about a site that has no mistakes, and what is wrong with its scenario files."""
    from gateway import lint
    from gateway.judged import judged
    from gateway.site import scenarios

    rules = judged(site)
    tried: list[Scenario] = []
    wrong: list[Mistake] = []
    for path in scenarios.beside(site.source, deep=True):
        try:
            tried += scenarios.load(path, rules)
        except ConfigError as error:
            wrong += error.mistakes
    return lint.warnings(site, report, scenarios.uncovered(rules, tried)) + wrong
