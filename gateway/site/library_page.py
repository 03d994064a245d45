"""docs/rule-library.md, generated from the library itself; and the same words for ``gengfu rules explain``."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from gateway.model import Kind, Text
from gateway.site import library
from gateway.site.library import ParameterShape, Rule
from gateway.site.roles import CLASSES, NUMBER, ROLES

KEYS = ("when", "on_delay_s", "off_delay_s", "suppressed_by")
"""Of an alarm: what is shown as it stands in the file."""

_HEAD = """# The rule library 规则库

Generated from `rules/library/*.yaml` by `make reference`; do not edit. 本文件由程序生成，请勿手工修改。

A site switches rules on by family instead of writing alarms out; what fits its devices becomes alarms of its own, checked like those of
the file. 站点按规则族启用规则，无需逐条编写报警；适用的规则按设备生成报警，检查与站点文件中的报警相同。

```yaml
library:
  fire: {}                            # all rules of the family, as they are 全部规则，默认参数
  lift: {entrapment_s: 60}            # a parameter for the whole site 全站参数
devices:
  - id: door-7-1
    rules: {hold_open_s: 300}         # a parameter for this device 本设备参数
    without: {access/forced: 锁反馈未接线 its lock has no feedback contact}   # left out, with the reason 不使用及原因
```

- `gengfu rules` lists the library, `gengfu rules SITE` what it becomes on a site, with its parameters, what fits nothing there and what was left
  out, `gengfu rules explain fire/confirmed` one rule.
  `gengfu rules` 列出规则库，`gengfu rules 站点文件` 列出在本站生成的报警，`gengfu rules explain 规则` 解释一条规则。
- An alarm's id is `<device>/<rule>` (`<zone>/<rule>` for a fire compartment); where a device has several points of the role that a rule makes one alarm
  each for, `<device>/<rule>.<point>`. Its records name the rule with its version: `fire/confirmed@1`.
  报警编号为 `<设备>/<规则>`（防火分区为 `<分区>/<规则>`）；一台设备有多个同角色测点时为 `<设备>/<规则>.<测点>`。记录中注明规则及版本。
- A rule finds its points by the role that the device's template gives them. One that the device lacks falls away from an `any` or `all`; without one of
  those under "needs" the rule does not fit. 规则按模板中测点的角色取值；缺少“必须”角色的设备不适用。
- How certain a citation is: A read in the primary text; B in a secondary public source; C general knowledge, verify it before you rely on it.
  依据的把握程度：A 原文；B 二手公开资料；C 一般知识，使用前请核对。
"""


def page() -> str:
    """The text of docs/rule-library.md."""
    lines = [_HEAD.rstrip("\n")]
    for family in library.families().values():
        lines += ["", f"## {family.shape.title_.en} {family.shape.title_.zh} (`{family.name}`)"]
        for rule in family.rules:
            lines += ["", *_rule(rule)]
    lines += ["", *_vocabulary()]
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> Iterator[str]:
    shape, alarm = rule.shape, rule.shape.alarm
    yield f'<a id="{rule.name.replace("/", "-")}"></a>'
    yield f"### `{rule.name}` {shape.title_.en} {shape.title_.zh}"
    for text in (shape.explain, shape.unknown):
        yield ""
        yield f"{text.en} {text.zh}"
    yield ""
    yield f"- For 对象: each {shape.scope} of class {', '.join(shape.classes)}; needs 必须: {needs(rule) or '-'}; version 版本 {shape.version}"
    yield f"- Alarm 报警: class {alarm['class']}, {alarm['severity']}{', latching 自保持' if alarm.get('latching') else ''}. {alarm['text']['en']} {alarm['text']['zh']}"
    if shape.advice is not None:
        yield f"- What to do 处置: {shape.advice.en} {shape.advice.zh}"
    for cite in shape.cites:
        yield f"- {cite.clause} [{cite.certainty}]: {cite.says.en} {cite.says.zh}"
    if rule.parameters:
        yield ""
        yield "| parameter 参数 | default 默认 | range 范围 | meaning | 含义 |"
        yield "|---|---|---|---|---|"
        for name, parameter in rule.parameters.items():
            en, zh = meaning(parameter)
            yield f"| `{name}` | {parameter.default:g} {parameter.unit} | {parameter.range[0]:g} to {parameter.range[1]:g} | {en} | {zh} |"
    yield ""
    yield "```yaml"
    yield condition(rule)
    yield "```"


def meaning(parameter: ParameterShape) -> tuple[str, str]:
    """English, Chinese; with the reason for the default."""
    text, why = parameter.text, parameter.why
    return (f"{text.en} ({why.en})", f"{text.zh}（{why.zh}）") if why is not None else (text.en, text.zh)


def needs(rule: Rule) -> str:
    return ", ".join(need if isinstance(need, str) else " or ".join(need) for need in rule.shape.needs)


def condition(rule: Rule) -> str:
    """The condition, its times and what suppresses it, as in the library's file."""
    told = {key: value for key, value in rule.shape.alarm.items() if key in KEYS}
    text: str = yaml.safe_dump(told, allow_unicode=True, sort_keys=False, default_flow_style=None, width=120)
    return text.rstrip("\n")


def _vocabulary() -> Iterator[str]:
    yield "## Classes and roles 类别与角色"
    yield ""
    yield "What a template may say of a device (`class:`) and of its points (`role:`)."
    yield "模板中设备的 `class:` 和测点的 `role:` 可取的值。"
    yield ""
    yield "| class 类别 | device | 设备 |"
    yield "|---|---|---|"
    for name, text in CLASSES.items():
        yield f"| `{name}` | {text.en} | {text.zh} |"
    yield ""
    yield "| role 角色 | kind 类型 | unit 单位 | true while, or what it measures | 成立时，或所测的量 |"
    yield "|---|---|---|---|---|"
    for name, role in ROLES.items():
        kinds = ", ".join(role.kinds) if role.kinds != NUMBER else f"{Kind.INT}, {Kind.FLOAT}"
        yield f"| `{name}` | {kinds} | {role.unit} | {role.text.en} | {role.text.zh} |"


def explanation(rule: Rule) -> list[Text]:
    """One rule for a person at a terminal: paragraphs in both languages."""
    shape = rule.shape
    told = [
        Text(f"{rule.reference}  {shape.title_.zh}", f"{rule.reference}  {shape.title_.en}"),
        Text(shape.explain.zh, shape.explain.en),
        Text(f"未知时：{shape.unknown.zh}", f"With unknown values: {shape.unknown.en}"),
    ]
    if shape.advice is not None:
        told.append(Text(f"处置：{shape.advice.zh}", f"What to do: {shape.advice.en}"))
    told += [
        Text(
            f"依据：{cite.clause}（{cite.certainty}）：{cite.says.zh}",
            f"From: {cite.clause} ({cite.certainty}): {cite.says.en}",
        )
        for cite in shape.cites
    ]
    return told
