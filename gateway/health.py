"""The gateway watches itself: its own condition is a device like any other, and the watchdog is fed on real progress.

Guarantees
* Disk, link, clock and bugs are points of the built-in device ``gateway``; they take the same way through rules, journal
  and uplink as a smoke detector, so a failing disk or a cut link is an alarm with a text, a time and a life cycle.
* The service manager's watchdog is fed only while every named part has moved within its own limit; a part that keeps standing
  still sets it off.

It does not act on what it sees: rules raise, persons act, the service manager restarts.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from gateway.clock import HOUSEKEEPING_S, Clock, housekeeping
from gateway.model import (
    AlarmClass,
    Device,
    Group,
    Kind,
    Point,
    PointClass,
    Quality,
    Scan,
    Severity,
    Text,
)
from gateway.remedies import REMEDIES
from rules.spec import AlarmSpec, Equals

DEVICE = "gateway"
TRIGGER = 3
"""A part that is seen to stand still so many times in a row does not come back: the service manager is asked to act at once,
not `WatchdogSec=` later. One that recovers before (a machine that was paused) is fed again."""
SIGN_S = 5.0
"""Between two signs of life of a journal's thread, whose limit is six times that (`gateway.parts.DISK_STALLED_S`)."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that can be wrong with the gateway itself: a point, and the alarm it raises."""

    name: str
    text: Text
    severity: Severity
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0


CONCERNS = (
    Concern("storage_alarms_failing", Text("报警存储故障", "alarm storage fails"), Severity.CRITICAL, 0.0, 5.0),
    Concern("storage_telemetry_failing", Text("数据存储故障", "telemetry storage fails"), Severity.HIGH, 0.0, 5.0),
    Concern("storage_set_aside", Text("损坏的存储文件已隔离", "a damaged journal file was set aside"), Severity.HIGH),
    Concern("alarm_lane_filling", Text("报警存储空间不足", "alarm storage is four fifths full"), Severity.HIGH),
    Concern("uplink_down", Text("与区平台的连接中断", "link to the district is down"), Severity.MEDIUM, 5.0, 2.0),
    Concern(
        "uplink_refused",
        Text("上行证书或配置被拒绝", "uplink is refused: certificate, key or configuration"),
        Severity.HIGH,
    ),
    Concern(
        "certificate_ending",
        Text("上行证书30天内到期", "a certificate of an uplink ends within 30 days"),
        Severity.MEDIUM,
    ),
    Concern(
        "clock_not_set",
        Text(
            "时钟10分钟未同步，时间不可信",
            "the clock has not been set for 10 minutes: its times are not to be relied on",
        ),
        Severity.MEDIUM,
        600.0,
        5.0,
    ),
    Concern("receipts_overdue", Text("区平台30秒未回执", "no receipt from the district for 30 s"), Severity.HIGH),
    Concern("parts_failing", Text("程序部件故障", "a part of the gateway fails and is tried again"), Severity.HIGH),
    Concern(
        "last_known_good",
        Text(
            "运行的不是站点文件：文件有误、更改已撤销或反复崩溃，使用上次有效配置",
            "the site file is not what runs: refused, undone or crashing; running the last known good",
        ),
        Severity.HIGH,
    ),
    Concern(
        "update_undone",
        Text(
            "更新已撤销：新版本无法运行，使用原版本",
            "an update was undone: the new version did not run, the one before does",
        ),
        Severity.MEDIUM,
    ),
    Concern(
        "output_failing",
        Text("值班室的声光输出或按键故障", "a lamp, sounder or key of the guard room cannot be used"),
        Severity.HIGH,
        0.0,
        5.0,
    ),
    Concern(
        "life_isolated",
        Text("有火警、求助或困人报警已停用", "a fire, personal or entrapment alarm is out of service"),
        Severity.HIGH,
    ),
    Concern(
        "points_doubtful",
        Text(
            "有测点数值可疑（跳变、卡滞、计数中断或地址重复）",
            "values are in doubt: jumping, stuck, counts lost, address used twice",
        ),
        Severity.MEDIUM,
        10.0,
        10.0,
    ),
)


def device() -> Device:
    """The built-in device ``gateway`` with one group of boolean points, and whether the clock is trusted."""
    points = [
        Point(f"{DEVICE}/{concern.name}", concern.name, Kind.BOOL, cls=PointClass.SAFETY, text=concern.text)
        for concern in CONCERNS
    ]
    points.append(Point(f"{DEVICE}/clock_trusted", "clock_trusted", Kind.BOOL, text=Text("时钟已同步", "clock is set")))
    group = Group("self", tuple(points), HOUSEKEEPING_S, safety=True)
    return Device(DEVICE, "", "", 0, (group,), text=Text("网关", "gateway"))


def alarms() -> tuple[AlarmSpec, ...]:
    """The alarms over `CONCERNS`, ids ``gateway/<concern>``."""
    return tuple(
        AlarmSpec(
            id=f"{DEVICE}/{concern.name}",
            cls=AlarmClass.FAULT,
            severity=concern.severity,
            when=Equals(f"{DEVICE}/{concern.name}", 1),
            text=Text(f"网关：{concern.text.zh}", f"Gateway: {concern.text.en}"),
            on_delay_s=concern.on_delay_s,
            off_delay_s=concern.off_delay_s,
            advice=REMEDIES[concern.name].action if concern.name in REMEDIES else None,
        )
        for concern in CONCERNS
    )


def reference() -> str:
    """docs/gateway-faults.md."""
    rows = [
        f"| `{DEVICE}/{concern.name}`<br>{concern.severity.name.lower()} "
        f"| {concern.text.zh}<br>{concern.text.en} | {cause.zh}<br>{cause.en} | {action.zh}<br>{action.en} |"
        for concern in CONCERNS
        for cause, action in (REMEDIES[concern.name],)
    ]
    return _PAGE + "\n".join(rows) + "\n"


_PAGE = """\
# Faults of the gateway itself 网关自身的故障

Generated from the code by `make reference`; do not edit. 本文件由程序生成，请勿手工修改。

The gateway is a device of its own site: what is wrong with it is an alarm like any other, with a time, a place in `gengfu alarms`, a record to the
district and a life cycle. 网关自身也是一台设备：它的故障就是报警，与其他报警一样显示、记录、上报、确认。

Each other device has its own alarm for silence, `<device>/silent`: look at its power, cable and address; `gengfu status` says whether it is the device
or the line. 其他设备各有失联报警 `<设备>/silent`：检查电源、线缆、地址；`gengfu status` 说明是设备还是线路的问题。

| alarm 报警 | meaning 含义 | usual cause 常见原因 | to do 处置 |
|---|---|---|---|
"""


class Lag:
    """Whether something that was there `limit_s` ago is still not settled. Looked at about once a second."""

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock, self._limit_s = clock, limit_s
        self._seen: deque[tuple[float, int]] = deque(maxlen=1000)

    def overdue(self, settled: int, newest: int) -> bool:
        """Everything up to `settled` is; `newest` is there."""
        now = self._clock.monotonic()
        if not self._seen or newest != self._seen[-1][1]:
            self._seen.append((now, newest))
        while self._seen and self._seen[0][1] <= settled:
            self._seen.popleft()
        return bool(self._seen) and now - self._seen[0][0] >= self._limit_s


class Beat:
    """A sign of life of a journal's thread: a job that waits behind its others, never more than one at a time.

    A thread that never gave one counts as moving: its disk was dead at the start already, which is a concern of its own
    (`storage_alarms_failing`); to be started again for it for ever would take away the alarms as well.
    """

    def __init__(self, clock: Clock, submit: Callable[[Callable[[], None]], None]) -> None:
        self._clock, self._submit = clock, submit
        self._waiting = False
        self._asked_at = -inf
        self._at: float | None = None

    def moved(self) -> float:
        """When it was last there; asks for the next sign when it is time."""
        now = self._clock.monotonic()
        if not self._waiting and now - self._asked_at >= SIGN_S:
            self._waiting, self._asked_at = True, now
            self._submit(self._beat)
        return now if self._at is None else self._at

    def _beat(self) -> None:
        """On the thread."""
        self._at = self._clock.monotonic()
        self._waiting = False


class Health:
    """Looks once a second: takes a scan of the gateway itself and feeds the watchdog."""

    def __init__(
        self,
        clock: Clock,
        concerns: Callable[[], Mapping[str, bool]],
        progress: Mapping[str, tuple[Callable[[], float], float]],
        take: Callable[[Scan], None],
    ) -> None:
        """`concerns`: which of `CONCERNS` are true now. `progress`: part -> (when did it last move, monotonic; the longest
        pause that is healthy, seconds)."""
        unknown = set(concerns()) ^ {concern.name for concern in CONCERNS}
        if unknown:
            raise ValueError(f"concerns without a watcher, or the other way round: {sorted(unknown)}")
        self._clock = clock
        self._concerns = concerns
        self._progress = progress
        self._take = take
        self._stood = 0
        """How often in a row a part was seen to stand still."""

    def scan(self) -> Scan:
        found = self._concerns()
        values = [int(found[concern.name]) for concern in CONCERNS]
        values.append(int(self._clock.trusted()))
        return Scan(DEVICE, 0, self._clock.monotonic(), tuple(values), bytes([Quality.GOOD] * len(values)))

    def stalled(self) -> list[str]:
        """Parts that have not moved within their limit."""
        now = self._clock.monotonic()
        return [name for name, (moved, limit_s) in self._progress.items() if now - moved() > limit_s]

    async def run(self) -> None:
        notify("READY=1")
        while True:
            self._take(self.scan())
            notify(self._state(self.stalled()))
            await self._clock.sleep_until(housekeeping(self._clock.monotonic()))

    def _state(self, stalled: list[str]) -> str:
        """What the service manager is told."""
        if not stalled:
            self._stood = 0
            return "WATCHDOG=1\nSTATUS=on watch"
        self._stood += 1
        told = f"STATUS=stalled: {', '.join(stalled)}"
        return f"WATCHDOG=trigger\n{told}" if self._stood >= TRIGGER else told


def notify(state: str) -> None:
    """Tell the service manager (sd_notify(3)); silent where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)  # a service manager that does not read must not stop the loop
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # a service manager that is going away is no reason to stop watching
