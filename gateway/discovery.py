"""From what was heard on the ports where devices call to a draft of their part of the site: a fragment and templates.

Guarantees
* A draft loads as it is (with its bus), gives each system, part, value and device state that was heard its points; the
  device and each system have a fire point alone in its group, which a part or system without a point raises, too.
* The same things give the same text, in whatever order they spoke.

It knows one protocol, gb26875; what speaks another is listed and not drafted. A draft is a beginning: names of places,
what is a safety point and the dialect are for a person to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from drivers.gb26875_tables import ANALOGUES, COMPONENTS, SYSTEMS, name_of

DRIVER = "gb26875"
Row = Mapping[str, Any]
"""One row of the view ``heard``."""
_DEVICE = (
    ("device_fire", "fire", "装置火警", "fire at the device"),
    ("device_fault", "fault", "装置故障", "device fault"),
    ("main_power_fault", "main_power_fault", "主电故障", "main power fault"),
    ("backup_power_fault", "backup_power_fault", "备电故障", "backup power fault"),
    ("line_fault", "line_fault", "连接线路故障", "line fault"),
)
_STATES = (
    ("fault", "故障", "fault"),
    ("shielded", "屏蔽", "shielded"),
    ("started", "启动", "started"),
    ("feedback", "反馈", "feedback"),
)
_DUTY = (
    ("duty_check", "outcome", "enum", "", "查岗结果", "latest duty check"),
    ("duty_answer_s", "answer_s", "float", "s", "查岗应答用时", "time to the answer of the duty check"),
    ("duty_operator", "operator", "int", "", "查岗应答操作员编号", "operator who answered the duty check"),
)
_ROLES = {bit: bit for bit in ("fire", "fault", "main_power_fault", "backup_power_fault", "line_fault", "feedback")}
_ROLES["shielded"] = "isolated"
_OUTCOMES = dict(enumerate(("none", "asked", "confirmed", "answered", "unanswered", "not_delivered", "late")))
_HEAD = """\
# Draft of devices that were heard; put them into the site file, and the templates into the folder templates beside it.
# 已侦听到的设备草稿：并入站点文件，模板放入其旁的 templates 目录。请核对方言、位置和类别。
"""


class _Draft:
    """The template of one caller."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self.points: list[dict[str, Any]] = []

    def bit(self, name: str, group: str, zh: str, en: str, at: Mapping[str, Any]) -> None:
        self.groups.setdefault(group, {"period_s": 60, "safety": True})
        role = {"role": _ROLES[at["bit"]]} if at["bit"] in _ROLES else {}
        point = {"name": name, "group": group, "kind": "bool", "class": "safety", **role}
        self.points.append({**point, "text": {"zh": zh, "en": en}, "at": dict(at)})

    def device(self) -> None:
        for name, bit, zh, en in _DEVICE:
            self.bit(name, "device_fire" if bit == "fire" else "device", zh, en, {"of": "device", "bit": bit})
        self.groups["duty"] = {"period_s": 60}
        for name, bit, kind, unit, zh, en in _DUTY:
            labels = {"labels": _OUTCOMES} if kind == "enum" else {}
            text, at = {"zh": zh, "en": en}, {"of": "duty", "bit": bit}
            unit_ = {"unit": unit} if unit else {}
            point = {"name": name, "group": "duty", "kind": kind, **unit_, "class": "status", "text": text, **labels}
            self.points.append({**point, "at": at})

    def system(self, system: int, address: int) -> None:
        name, text = f"system_{system}_{address}", name_of(system, SYSTEMS)
        at = {"of": "system", "system": system, "address": address}
        self.bit(f"{name}_fire", f"{name}_fire", f"{text.zh}火警", f"{text.en}: fire", {**at, "bit": "fire"})
        for bit, zh, en in _STATES:
            self.bit(f"{name}_{bit}", name, f"{text.zh}{zh}", f"{text.en}: {en}", {**at, "bit": bit})

    def component(self, about: Mapping[str, Any]) -> None:
        keys = ("system", "address", "component_address")
        at = {"of": "component", **{key: about[key] for key in keys}}
        name = f"part_{about['system']}_{about['address']}_{about['component_address']}"
        kind = name_of(int(about.get("component", 0)), COMPONENTS)
        described = str(about.get("description") or "")[:100]
        zh, en = (described or kind.zh), (f"{kind.en} {described}".strip())
        for bit, bit_zh, bit_en in (("fire", "火警", "fire"), *_STATES):
            self.bit(f"{name}_{bit}", name, f"{zh}{bit_zh}", f"{en}: {bit_en}", {**at, "bit": bit})

    def analogue(self, about: Mapping[str, Any]) -> None:
        keys = ("system", "address", "component_address", "analogue")
        name = "value_" + "_".join(str(about[key]) for key in keys)
        kind = ANALOGUES[about["analogue"]]
        unit = {"unit": kind.unit} if kind.unit else {}
        self.groups[name] = {"period_s": 60}
        at = {"of": "analogue", **{key: about[key] for key in keys}}
        text = {
            "zh": f"{kind.text.zh} {about['component_address']}",
            "en": f"{kind.text.en} {about['component_address']}",
        }
        self.points.append({"name": name, "group": name, "kind": "float", **unit, "text": text, "at": at})


def draft(rows: Sequence[Row]) -> tuple[str, dict[str, str]]:
    """The fragment of the site file, and the text of each template by name."""
    callers: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["driver"] == DRIVER:
            callers.setdefault((row["bus"], row["caller"]), []).append(row)
    devices, templates = [], {}
    for (bus, caller), heard in sorted(callers.items()):
        address = caller.partition(" ")[0]
        id_ = "uitd-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in address)[:50]
        number = int(address) if address.isdecimal() and not address.startswith("0") and len(address) < 12 else address
        devices.append({"id": id_, "bus": bus, "template": id_, "address": number})
        templates[id_] = _template(id_, heard)
    return _HEAD + _yaml({"devices": devices}), templates


def _template(name: str, heard: Sequence[Row]) -> str:
    drafted = _Draft()
    drafted.device()
    things = [row["about"] for row in heard if row["about"]]
    for system, address in sorted({(one["system"], one["address"]) for one in things if "system" in one}):
        drafted.system(system, address)
    parts = {(one["system"], one["address"], one["component_address"]): one for one in _of("component", things)}
    for _, about in sorted(parts.items()):
        drafted.component(about)
    values = {tuple(one[key] for key in _VALUE_KEYS): one for one in _of("analogue", things)}
    for _, about in sorted(values.items()):
        if about["analogue"] in ANALOGUES:
            drafted.analogue(about)
    content = {
        "model": {"vendor": "GB/T 26875.3", "name": name, "text": {"zh": f"传输装置 {name}", "en": f"device {name}"}},
        "driver": DRIVER,
        "class": "panel",
        "source": "heard on the running gateway by gengfu discover",
        "certainty": "C",
        "proved": False,
        "options": {"dialect": "standard", "ask": "each_period"},
        "groups": drafted.groups,
        "points": drafted.points,
    }
    return _yaml(content)


_VALUE_KEYS = ("system", "address", "component_address", "analogue")


def _of(kind: str, things: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in things if one["of"] == kind]


def _yaml(content: Any) -> str:
    text: str = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=110)
    return text
