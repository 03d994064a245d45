"""Writes a chosen decoding into a template file as a point; the file is checked before it replaces the old one."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from drivers import DRIVERS
from gateway.errors import ConfigError
from gateway.model import Text
from gateway.site.template import Templates
from gateway.tools.channel import ToolError
from gateway.tools.guess import Guess

NEW = """\
# Begun by `gengfu peek`. Say what it is and where you know it from; compare each point with the display.
# 由 `gengfu peek` 生成。请填写型号和依据，并逐点与显示核对。
model:
  vendor: unknown
  name: {name}
  text: {{zh: 未命名设备, en: unnamed device}}
driver: modbus
source: "compared with the instrument's display on site"
certainty: C
groups:
  status: {{period_s: 5}}
points:
"""


def snippet(guess: Guess, table: str, point: str, group: str) -> str:
    """The point as YAML (its ``at`` is JSON, which YAML reads)."""
    at = ", ".join(f"{key}: {json.dumps(value)}" for key, value in guess.at(table).items())
    return (
        f"  - name: {point}\n    group: {group}\n    kind: float\n"
        f"    text: {{zh: {point} 测点, en: {point}}}\n    at: {{{at}}}\n"
    )


def write(path: Path, guess: Guess, table: str, point: str) -> None:
    """Add the point to a template, or begin one. Raises `ToolError`, and then the file is as it was."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", point) or not re.fullmatch(r"[a-z0-9_-]+\.yaml", path.name):
        raise ToolError(
            Text(
                "测点名和文件名用小写字母、数字和下划线（文件名以 .yaml 结尾）",
                "point and file (.yaml): a-z, 0-9 and _",
            )
        )
    old = path.read_text(encoding="utf-8") if path.exists() else NEW.format(name=path.stem)
    groups = re.search(r"^groups:\n((?:[ \t]+.*\n)+)", old, re.MULTILINE)
    names = re.findall(r"^  (\w+):", groups.group(1), re.MULTILINE) if groups else []
    begin = re.search(r"^points:.*\n", old, re.MULTILINE)
    if not names or begin is None:
        raise ToolError(Text(f"{path} 不是可追加的模板", f"{path} is no template that can be added to"))
    after = re.search(r"^\S", old[begin.end() :], re.MULTILINE)
    cut = begin.end() + after.start() if after else len(old)
    group = "status" if "status" in names else names[-1]
    _replace(path, old[:cut] + snippet(guess, table, point, group) + old[cut:])


def _replace(path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".peek-") as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        known = Templates([Path(folder)], DRIVERS)
        if known.get(path.stem) is None:
            raise ConfigError(known.mistakes)
        os.replace(trial, path)
