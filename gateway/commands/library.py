"""``gengfu rules``: the rule library, what it becomes on a site, and one rule explained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.console import EX_CONFIG, AsJson, err, out, table
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.blueprint import Site
    from gateway.site.chosen import Chosen
    from gateway.site.library import Rule

EXPLAIN = "explain"


def rules(
    site: Annotated[
        str | None,
        typer.Argument(metavar="[SITE | explain]", help="Site file, or the word explain. 站点文件，或 explain"),
    ] = None,
    rule: Annotated[
        str | None, typer.Argument(help="With explain: such as fire/confirmed. 规则，如 fire/confirmed")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The rule library 规则库: all rules; those of SITE with their devices and parameters; `explain RULE`: one of them.

    Exit status 退出码: 0; 1 no such rule 无此规则; 78 the site file is wrong 站点文件有误."""
    if site == EXPLAIN:
        _explain(rule or "", as_json)
    elif site is None:
        _all(as_json)
    else:
        _of_site(Path(site), as_json)


def _all(as_json: bool) -> None:
    from gateway.site import library
    from gateway.site.library_page import needs

    found = [rule for family in library.families().values() for rule in family.rules]
    if as_json:
        _print_json({"rules": [_rule_json(rule) for rule in found]})
        return
    rows = [
        (
            rule.reference,
            f"{rule.shape.title_.zh}\n{rule.shape.title_.en}",
            ", ".join(rule.shape.classes),
            needs(rule),
            "\n".join(f"{name} {one.default:g} {one.unit}" for name, one in rule.parameters.items()),
        )
        for rule in found
    ]
    columns = ("rule 规则", "title 名称", "classes 设备类别", "needs 必须的角色", "parameters 参数")
    out.print(table("Rule library 规则库", columns, rows))


def _explain(name: str, as_json: bool) -> None:
    from gateway.site import library
    from gateway.site.library_page import condition, explanation, meaning
    from gateway.site.words import nearest

    rule = library.find(name)
    if rule is None:
        hint = nearest(name, [one.name for family in library.families().values() for one in family.rules])
        err.print(f"there is no rule '{name}'{hint.en} (gengfu rules lists them)", markup=False)
        err.print(f"没有规则“{name}”{hint.zh}（gengfu rules 可列出全部）", markup=False)
        raise typer.Exit(1)
    if as_json:
        _print_json(_rule_json(rule))
        return
    told = explanation(rule)
    for language in ("zh", "en"):
        for text in told:
            out.print(getattr(text, language), markup=False, highlight=False)
        out.print()
    for parameter, one in rule.parameters.items():
        en, zh = meaning(one)
        low, high = one.range
        out.print(
            f"{parameter} = {one.default:g} {one.unit} [{low:g}, {high:g}]: {zh} / {en}", markup=False, highlight=False
        )
    out.print(condition(rule), markup=False, highlight=False)


def _of_site(path: Path, as_json: bool) -> None:
    from gateway import config

    try:
        loaded, chosen = config.load_with_library(path)
    except ConfigError as error:
        for mistake in error.mistakes:
            err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EX_CONFIG) from None
    if as_json:
        applied = [
            {"alarm": one.alarm, "rule": one.rule.reference, "of": one.subject, "parameters": dict(one.numbers)}
            for one in chosen.applied
        ]
        left = [{"device": one.device, "rule": one.rule, "why": one.why} for one in chosen.left_out]
        own = [alarm.id for alarm in loaded.alarms if "/" not in alarm.id]
        _print_json({"alarms": applied, "without": left, "idle": [rule.name for rule in chosen.idle], "own": own})
        return
    columns = ("alarm 报警", "rule 规则", "severity 级别", "text 内容", "parameters 参数")
    out.print(
        table(f"{loaded.gateway.id}: alarms of the rule library 规则库生成的报警", columns, _rows(loaded, chosen))
    )
    if chosen.left_out:
        rows = [(one.device, one.rule, one.why) for one in chosen.left_out]
        out.print(table("Left out 不使用", ("device 设备", "rule 规则", "why 原因"), rows))
    for rule in chosen.idle:
        out.print(
            f"{rule.name}: switched on, fits nothing here 已启用，本站无适用对象 ({rule.shape.title_.zh})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _rows(site: Site, chosen: Chosen) -> list[tuple[str, ...]]:
    specs = {alarm.id: alarm for alarm in site.alarms}
    return [
        (
            one.alarm,
            one.rule.reference,
            specs[one.alarm].severity.name.lower(),
            f"{specs[one.alarm].text.zh}\n{specs[one.alarm].text.en}",
            "\n".join(f"{name} {value:g} {one.rule.parameters[name].unit}" for name, value in one.numbers.items()),
        )
        for one in chosen.applied
    ]


def _rule_json(rule: Rule) -> dict[str, Any]:
    shape = rule.shape.model_dump(by_alias=True)
    return {
        "rule": rule.reference,
        **shape,
        "parameters": {name: one.model_dump() for name, one in rule.parameters.items()},
    }


def _print_json(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
