"""The text of a first site file, from a few answers: what `gengfu init` writes. Pure; `gengfu check` accepts what it makes.

Comments in both languages say what to fill in. Devices are not guessed: `gengfu scan` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A serial line."""

    port: str
    baud: int = 9600


@dataclass(frozen=True, slots=True)
class District:
    host: str
    port: int = 8883


@dataclass(frozen=True, slots=True)
class Answers:
    id: str
    position: str = ""
    lines: Sequence[Line] = ()
    district: District | None = None
    metrics: bool = False
    control_socket: str = "run/control.sock"
    journal: str = "journal"


def text(answers: Answers) -> str:
    """The whole file."""
    parts = [
        _HEAD,
        f"gateway: {{id: {_quoted(answers.id)}, place: {{position: {_quoted(answers.position)}}}, "
        f"control_socket: {_quoted(answers.control_socket)}}}",
        f"journal: {{directory: {_quoted(answers.journal)}, alarm_quota_mib: 64, telemetry_quota_mib: 512}}",
    ]
    if answers.metrics:
        parts.append("metrics: {tcp_port: 9464}")
    parts += ["", "# The lines. 总线。", *_lines(answers.lines)]
    parts += ["", "# What hangs on them: gengfu scan finds it. 设备：用 gengfu scan 查找。", "devices: []", _DEVICE]
    parts += ["", "# Alarms of your own. 自定义报警。", "alarms: []", _ALARM]
    parts += ["", "# Where alarms are sent. 上行。", *_uplinks(answers.district), ""]
    return "\n".join(parts)


def _lines(lines: Sequence[Line]) -> list[str]:
    if not lines:
        return ["buses: []", "#  - {id: line-1, kind: serial, port: /dev/ttyUSB0, baud: 9600, reply_timeout_s: 0.3}"]
    rows = [
        f"  - {{id: line-{number}, kind: serial, port: {_quoted(line.port)}, baud: {line.baud}, reply_timeout_s: 0.3}}"
        for number, line in enumerate(lines, 1)
    ]
    return ["buses:", *rows]


def _uplinks(district: District | None) -> list[str]:
    files = "ca: pki/ca.pem, certificate: pki/gateway.pem, key: pki/gateway.key"
    if district is None:
        return ["uplinks: []", f"#  - {{id: district, host: district.example, port: 8883, {files}}}"]
    return ["uplinks:", f"  - {{id: district, host: {_quoted(district.host)}, port: {district.port}, {files}}}"]


def _quoted(word: str) -> str:
    """A YAML double-quoted scalar; control characters cannot come in (the shapes refuse them)."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


_HEAD = """\
# The site file of this gateway, begun by `gengfu init`. Next: gengfu scan, fill in the devices, gengfu check, start.
# 本网关的站点文件，由 `gengfu init` 生成。下一步：gengfu scan 查找设备，填写设备，gengfu check 检查，启动。
# Every key: docs/site-file.md. 全部配置项见 docs/site-file.md。
"""
_DEVICE = """\
#  - id: smoke-1
#    bus: line-1
#    template: generic_smoke_loop
#    address: 1
#    place: {building: "1", unit: "1", floor: "1", flat: "101"}
#    text: {zh: 101室感烟探测器, en: smoke detector of flat 101}"""
_ALARM = """\
#  - id: fire-101
#    class: fire
#    severity: critical
#    when: {equals: {point: smoke-1/alarm, value: true}}
#    latching: true
#    text: {zh: 101室火警, en: fire in flat 101}"""
