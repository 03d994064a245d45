"""``gengfu doctor``: is everything that a gateway needs there? Clock, certificates, disk, lines, broker, district, gateway.

Guarantees
* Each finding is pass, warn or fail, with what was seen and what to do, in Chinese and English. Nothing is changed but one
  small file in the journal's folder that is written and removed again.
* Each look is bounded in time; a running gateway is asked and not disturbed: its lines are not opened, its broker's
  connection is not taken.

It does not look at what the sensors say: that is ``gengfu status``.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import serial

from gateway import certificates, keys
from gateway.blueprint import Site
from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.link import tls
from gateway.model import BusKind, BusSpec, UplinkSpec

NETWORK_S = 5.0
SYNCS = 5
SLOW_SYNC_S = 0.5
"""Beyond this an alarm is announced before the disk has it (law 5)."""
ENDING_S = 7 * 86400.0
EARLIEST_YEAR_S = 1_767_225_600.0
"""2026-01-01: this program is younger than that."""
GIB = 1024**3


class Verdict(StrEnum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    verdict: Verdict
    zh: str
    en: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


Looks = Iterator[Finding]
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
"""Asks the running gateway; None when nobody answers."""


def examine(site: Site, clock: Clock, ask: Ask) -> Looks:
    """Every finding, as it is made: a broker that does not answer takes seconds."""
    status = ask({"do": "status"})
    yield from _gateway(status)
    yield from _clock(clock)
    yield from _disk(site, running=status is not None)
    for bus in site.buses:
        yield from _bus(bus, status)
    for uplink in site.uplinks:
        yield from _certificates(uplink, clock)
        yield from _broker(uplink, clock)
        yield from _district(uplink, status)


def _finding(what: str, verdict: Verdict, zh: str, en: str) -> Finding:
    return Finding(what, verdict, zh, en)


def _gateway(status: Mapping[str, Any] | None) -> Looks:
    if status is None:
        yield _finding(
            "gateway", Verdict.WARN, "网关未运行：systemctl start gengfu", "not running: systemctl start gengfu"
        )
        return
    if faults := status["faults"]:
        names = ", ".join(faults)
        yield _finding("gateway", Verdict.FAIL, f"部件故障：{names}", f"parts fail and are tried again: {names}")
    else:
        yield _finding("gateway", Verdict.PASS, "运行中", f"runs, up {status['uptime_s']:.0f} s")
    bad = [device["id"] for device in status["devices"] if device["why"]]
    if bad:
        some = ", ".join(bad[:5]) + (" …" if len(bad) > 5 else "")
        count = len(status["devices"])
        yield _finding(
            "devices",
            Verdict.FAIL,
            f"{len(bad)}/{count} 台无数据：{some}",
            f"{len(bad)} of {count} without data: {some}",
        )
    else:
        yield _finding("devices", Verdict.PASS, "全部有数据", "all give data")


def _clock(clock: Clock) -> Looks:
    wall = clock.wall()
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(wall))
    if wall < EARLIEST_YEAR_S:
        yield _finding(
            "clock",
            Verdict.FAIL,
            f"时间为 {shown}：无法验证任何证书；检查 NTP 或时钟电池",
            f"says {shown}: no certificate can be checked; look at NTP or the clock's battery",
        )
    elif not clock.trusted():
        yield _finding(
            "clock",
            Verdict.WARN,
            f"{shown}，未同步：检查 NTP（timedatectl）",
            f"{shown}, not synchronised: look at NTP (timedatectl)",
        )
    else:
        yield _finding("clock", Verdict.PASS, f"{shown}，已同步", f"{shown}, synchronised")


def _disk(site: Site, *, running: bool) -> Looks:
    folder = Path(site.journal.directory)
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    room = os.statvfs(there)
    free, used = room.f_bavail * room.f_frsize, _size(folder)
    quota = site.journal.alarm_quota_bytes + site.journal.telemetry_quota_bytes
    if free + used < quota:
        yield _finding(
            "disk",
            Verdict.WARN,
            f"可用 {free / GIB:.1f} GiB，少于日志上限 {quota / GIB:.1f} GiB：减小上限或换更大的卡",
            f"{free / GIB:.1f} GiB free, less than the journal's limits of {quota / GIB:.1f} GiB: lower them, or a larger card",
        )
    else:
        yield _finding("disk", Verdict.PASS, f"可用 {free / GIB:.1f} GiB", f"{free / GIB:.1f} GiB free")
    if room.f_files and room.f_favail < 100:
        yield _finding("disk", Verdict.FAIL, "inode 已用尽", f"only {room.f_favail} inodes left")
    yield _sync(folder if folder.exists() else there, running=running)


def _sync(folder: Path, *, running: bool) -> Finding:
    """How long the disk takes to promise something."""
    times = []
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            for _ in range(SYNCS):
                began = time.monotonic()
                file.write(b"\0" * 4096)
                file.flush()
                os.fdatasync(file.fileno())
                times.append(time.monotonic() - began)
    except OSError as error:
        if running and isinstance(error, PermissionError):
            return _finding(
                "disk sync",
                Verdict.WARN,
                "当前用户无权写日志目录；请用 sudo 再试",
                "the journal's folder is not yours; try with sudo",
            )
        return _finding(
            "disk sync", Verdict.FAIL, f"无法写入 {folder}：{error.strerror}", f"{folder}: {error.strerror}"
        )
    slowest = max(times)
    zh, en = f"最慢 {slowest * 1000:.0f} 毫秒", f"slowest of {SYNCS}: {slowest * 1000:.0f} ms"
    if slowest > SLOW_SYNC_S:
        return _finding("disk sync", Verdict.WARN, f"{zh}：存储卡过慢", f"{en}: the card is slow")
    return _finding("disk sync", Verdict.PASS, zh, en)


def _size(folder: Path) -> int:
    try:
        return sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
    except OSError:
        return 0


def _bus(spec: BusSpec, status: Mapping[str, Any] | None) -> Looks:
    what = f"bus {spec.id}"
    if status is not None:
        part = status["parts"].get(what, {})
        state = part.get("bus", part)
        if state.get("up"):
            yield _finding(what, Verdict.PASS, "网关正在使用", "in use by the gateway")
        else:
            why = state.get("why") or "not in this site's running configuration"
            yield _finding(what, Verdict.FAIL, f"不可用：{why}", f"cannot be used: {why}")
        return
    if spec.kind is BusKind.SERIAL:
        yield _serial(what, spec)
    elif spec.kind is BusKind.TCP:
        yield _reach(what, spec.host, spec.tcp_port)
    else:
        yield _listen(what, spec)


def _serial(what: str, spec: BusSpec) -> Finding:
    try:
        with serial.Serial(spec.port, spec.baud, exclusive=True, timeout=0):
            return _finding(what, Verdict.PASS, f"{spec.port} 可打开", f"{spec.port} can be opened")
    except PermissionError:
        pass
    except (OSError, ValueError) as error:  # serial.SerialException is an OSError
        if getattr(error, "errno", None) != 13:
            return _finding(what, Verdict.FAIL, f"{spec.port} 无法打开：{error}", f"{spec.port}: {error}")
    return _finding(
        what,
        Verdict.FAIL,
        f"{spec.port} 无权限：用户须在 dialout 组",
        f"{spec.port}: not allowed; the user must be in the group dialout",
    )


def _listen(what: str, spec: BusSpec) -> Finding:
    try:
        family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((spec.host, spec.tcp_port))
    except OSError as error:
        where = f"{spec.host}:{spec.tcp_port}"
        return _finding(
            what, Verdict.FAIL, f"无法监听 {where}：{error.strerror}", f"cannot listen on {where}: {error.strerror}"
        )
    return _finding(what, Verdict.PASS, "端口可用", "the port is free")


def _reach(what: str, host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), NETWORK_S):
            return _finding(what, Verdict.PASS, f"{host}:{port} 可连接", f"{host}:{port} answers")
    except OSError as error:
        why = error.strerror or str(error)
        return _finding(what, Verdict.FAIL, f"{host}:{port} 无法连接：{why}", f"{host}:{port}: {why}")


def _certificates(spec: UplinkSpec, clock: Clock) -> Looks:
    for name in ("ca", "certificate"):
        what = f"uplink {spec.id} {name}"
        path = Path(getattr(spec, name))
        try:
            life = certificates.validity(path)
        except OSError as error:
            yield _finding(what, Verdict.FAIL, f"{path}：{error.strerror}", f"{path}: {error.strerror}")
            continue
        except ValueError as error:
            yield _finding(what, Verdict.FAIL, f"{path}：不是有效证书", f"{path} {error}")
            continue
        yield _life(what, life, clock)
    what = f"uplink {spec.id} key"
    try:
        is_open = keys.is_open(Path(spec.key))
    except OSError as error:
        yield _finding(what, Verdict.FAIL, f"{spec.key}：{error.strerror}", f"{spec.key}: {error.strerror}")
        return
    if is_open:
        yield _finding(
            what, Verdict.FAIL, f"其他用户可读：chmod 600 {spec.key}", f"others can read it: chmod 600 {spec.key}"
        )
    else:
        yield _finding(what, Verdict.PASS, "只有网关可读", "only the gateway can read it")


def _life(what: str, life: certificates.Validity, clock: Clock) -> Finding:
    left = life.ends - clock.wall()
    day = time.strftime("%Y-%m-%d", time.gmtime(life.ends))
    zh, en = f"到期日 {day}，剩余 {left / 86400:.0f} 天", f"ends {day}, in {left / 86400:.0f} days"
    if clock.wall() < life.begins:
        day = time.strftime("%Y-%m-%d", time.gmtime(life.begins))
        return _finding(
            what, Verdict.FAIL, f"{day} 才生效：时钟是否正确？", f"not valid before {day}: is the clock right?"
        )
    if left <= 0:
        return _finding(what, Verdict.FAIL, f"已于 {day} 到期：请更换", f"ended on {day}: renew it")
    if left < ENDING_S:
        return _finding(what, Verdict.FAIL, f"{zh}：立即更换", f"{en}: renew it now")
    if left < certificates.SOON_S:
        return _finding(what, Verdict.WARN, f"{zh}：请更换", f"{en}: renew it")
    return _finding(what, Verdict.PASS, zh, en)


def _broker(spec: UplinkSpec, clock: Clock) -> Looks:
    """A TLS handshake with our certificate; MQTT is left to the gateway, whose session it would end."""
    what = f"uplink {spec.id} broker"
    where = f"{spec.host}:{spec.port}"
    try:
        trust = tls.trust(spec, clock)
        with (
            socket.create_connection((spec.host, spec.port), NETWORK_S) as plain,
            trust.wrap(plain) as wrapped,
        ):
            name = wrapped.version()
        yield _finding(
            what, Verdict.PASS, f"{where} {name}，证书有效", f"{where} speaks {name}, its certificate is right"
        )
    except LinkError as error:
        yield _finding(what, Verdict.FAIL, f"{where}：{error}", f"{where}: {error}")
    except ssl.SSLError as error:
        why = tls.words(error)
        yield _finding(what, Verdict.FAIL, f"{where} TLS 失败：{why}", f"{where}: TLS: {why}")
    except OSError as error:
        why = error.strerror or str(error)
        yield _finding(what, Verdict.FAIL, f"{where} 无法连接：{why}", f"{where}: {why}")


def _district(spec: UplinkSpec, status: Mapping[str, Any] | None) -> Looks:
    what = f"uplink {spec.id} district"
    part = (status or {}).get("parts", {}).get(f"uplink {spec.id}")
    if part is None:
        yield _finding(
            what, Verdict.WARN, "网关未运行，无法得知回执", "the gateway does not run: nothing known of receipts"
        )
    elif part["refused"]:
        yield _finding(what, Verdict.FAIL, f"被拒绝：{part['error']}", f"refused: {part['error']}")
    elif not part["connected"]:
        yield _finding(what, Verdict.FAIL, f"未连接：{part['error']}", f"not connected: {part['error']}")
    elif part["alarm_backlog"]:
        count = part["alarm_backlog"]
        yield _finding(what, Verdict.WARN, f"{count} 条报警未获回执", f"{count} alarms without a receipt")
    else:
        yield _finding(what, Verdict.PASS, "已连接，报警均有回执", "connected, every alarm has its receipt")
