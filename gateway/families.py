"""What the metrics are: each family with its labels, its words, and where its numbers come from. Pure.

Guarantees
* Labels are ids of the site file and words of this program's own vocabulary, never anything that came over a wire: a
  stranger cannot make series.
* Every drop has its reason as a label. `TABLE` is the whole list; docs/metrics.md is made from it (`gateway.metrics`).

It holds no state: all of it is read from one picture, `gateway.views.Views.status`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway.model import Text

Status = Mapping[str, Any]
Row = tuple[tuple[str, ...], float]


class Metric(NamedTuple):
    """One family: its name without the prefix ``gengfu_``, its labels, and where its numbers come from."""

    name: str
    text: Text
    labels: tuple[str, ...]
    rows: Callable[[Status], Iterable[Row]]

    @property
    def kind(self) -> str:
        """As Prometheus wants the names: a counter's ends in ``_total``."""
        return "counter" if self.name.endswith("_total") else "gauge"


def _parts(status: Status, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of one kind, by id: ``bus``, ``journal`` ``uplink`` or ``output``."""
    for name, part in status["parts"].items():
        what, _, ident = name.partition(" ")
        if what == kind and ident:
            yield ident, part


def _of(kind: str, *keys: str) -> Callable[[Status], Iterator[Row]]:
    """One number of each part of a kind; parts that do not have it are left out."""

    def rows(status: Status) -> Iterator[Row]:
        for ident, part in _parts(status, kind):
            value: Any = part
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, bool | int | float):
                yield (ident,), float(value)

    return rows


def _words(kind: str, *keys: str) -> Callable[[Status], Iterator[Row]]:
    """A mapping word -> count of each part."""

    def rows(status: Status) -> Iterator[Row]:
        for ident, part in _parts(status, kind):
            value: Any = part
            for key in keys:
                value = value.get(key, {})
            for word, count in value.items():
                yield (ident, str(word)), float(count)

    return rows


def _bus(key: str) -> Callable[[Status], Iterator[Row]]:
    return _of("bus", "bus", key)


def _groups(key: str) -> Callable[[Status], Iterator[Row]]:
    """One number of each polled group."""

    def rows(status: Status) -> Iterator[Row]:
        for bus, part in _parts(status, "bus"):
            for device, groups in part.get("devices", {}).items():
                for group in groups if isinstance(groups, list) else ():
                    yield (bus, device, group["group"]), float(group[key])

    return rows


def _bus_up(status: Status) -> Iterator[Row]:
    for ident, part in _parts(status, "bus"):
        yield (ident,), float(bool(part.get("bus", part).get("up")))


def _devices(status: Status) -> Iterator[Row]:
    for device in status["devices"]:
        yield (device["id"], device["bus"]), float(not device["why"])


def _why(status: Status) -> Iterator[Row]:
    for device in status["devices"]:
        if device["why"]:
            yield (device["id"], device["bus"], device["why"]), 1.0


def _qualities(status: Status) -> Iterator[Row]:
    for device in status["devices"]:
        yield (device["id"], device["quality"]), 1.0


def _alarms(status: Status) -> Iterator[Row]:
    counts: dict[tuple[str, str, str], int] = {}
    for alarm in status["alarms"]:
        key = (alarm["class"], alarm["severity"], alarm["state"])
        counts[key] = counts.get(key, 0) + 1
    for key, count in counts.items():
        yield key, float(count)


def _judged(status: Status) -> Iterator[Row]:
    """How often a point's value was found implausible, and why."""
    for point, reasons in status["parts"].get("points", {}).get("judged", {}).items():
        for reason, count in reasons.items():
            yield (point, reason), float(count)


def _flood(key: str) -> Callable[[Status], Iterator[Row]]:
    def rows(status: Status) -> Iterator[Row]:
        value = status["parts"].get("alarms", {}).get(key)
        if isinstance(value, bool | int | float):
            yield (), float(value)

    return rows


def _one(value: Callable[[Status], float]) -> Callable[[Status], Iterator[Row]]:
    return lambda status: iter((((), value(status)),))


_BUS, _GROUP, _LANE, _UPLINK = ("bus",), ("bus", "device", "group"), ("lane",), ("uplink",)
TABLE: tuple[Metric, ...] = (
    Metric(
        "info", Text("网关编号", "identity of the gateway"), ("gateway",), lambda status: [((status["gateway"],), 1.0)]
    ),
    Metric("uptime_seconds", Text("运行时间", "seconds since the start"), (), _one(lambda one: one["uptime_s"])),
    Metric(
        "clock_trusted",
        Text("时钟已同步为 1", "1 while the wall clock is synchronised"),
        (),
        _one(lambda one: one["clock"] == "trusted"),
    ),
    Metric("scans_total", Text("采样次数", "scans taken"), (), _one(lambda one: one["scans"])),
    Metric(
        "parts_failing",
        Text("故障部件数", "parts that fail and are tried again"),
        (),
        _one(lambda one: len(one["faults"])),
    ),
    Metric("bus_up", Text("线路可用为 1", "1 while the line or port can be used"), _BUS, _bus_up),
    Metric("bus_busy_ratio", Text("线路占用率", "share of time that the line is used"), _BUS, _of("bus", "busy")),
    Metric("bus_requests_total", Text("请求数", "requests sent"), _BUS, _bus("requests")),
    Metric("bus_replies_total", Text("有效应答数", "replies taken"), _BUS, _bus("replies")),
    Metric("bus_timeouts_total", Text("超时数", "requests without a reply in time"), _BUS, _bus("timeouts")),
    Metric("bus_bad_frames_total", Text("无效应答数", "replies that cannot be trusted"), _BUS, _bus("bad_frames")),
    Metric("bus_stray_bytes_total", Text("无主字节数", "bytes that belong to no reply"), _BUS, _bus("stray_bytes")),
    Metric("bus_drains_total", Text("清线次数", "waits until the line was silent"), _BUS, _bus("drains")),
    Metric("bus_losses_total", Text("线路中断次数", "times the line was lost"), _BUS, _bus("losses")),
    Metric("polls_total", Text("采集次数", "polls of a group"), _GROUP, _groups("polls")),
    Metric("poll_failures_total", Text("采集失败次数", "polls that failed"), _GROUP, _groups("failures")),
    Metric("poll_period_seconds", Text("实际采集周期", "period that was reached lately"), _GROUP, _groups("period_s")),
    Metric(
        "device_up", Text("设备有有效数据为 1", "1 while the device gives usable values"), ("device", "bus"), _devices
    ),
    Metric(
        "device_no_data",
        Text("无数据的原因（一个词）", "1 with the reason, in one word, while there is no data"),
        ("device", "bus", "why"),
        _why,
    ),
    Metric("device_quality", Text("最差质量", "the worst quality of its points"), ("device", "quality"), _qualities),
    Metric(
        "values_doubted_total",
        Text("判为不可信的数值", "values found implausible, with the reason"),
        ("point", "reason"),
        _judged,
    ),
    Metric("alarms", Text("非正常状态的报警数", "alarms that are not normal"), ("class", "severity", "state"), _alarms),
    Metric("lane_committed_total", Text("已写盘的记录", "records committed"), _LANE, _of("journal", "committed")),
    Metric("lane_transactions_total", Text("写盘事务数", "commits (syncs)"), _LANE, _of("journal", "transactions")),
    Metric(
        "lane_not_durable_total",
        Text("未写盘先通知的记录", "records announced before the disk confirmed them"),
        _LANE,
        _of("journal", "announced"),
    ),
    Metric("lane_failures_total", Text("写盘失败次数", "commits that failed"), _LANE, _of("journal", "failures")),
    Metric(
        "lane_dropped_total",
        Text("舍弃的记录及原因", "records dropped, with the reason"),
        ("lane", "reason"),
        _words("journal", "dropped"),
    ),
    Metric("lane_waiting_records", Text("等待写盘的记录", "records in memory"), _LANE, _of("journal", "waiting")),
    Metric("lane_used_bytes", Text("已用空间", "bytes used on the disk"), _LANE, _of("journal", "used_bytes")),
    Metric("lane_quota_bytes", Text("空间上限", "limit of the lane"), _LANE, _of("journal", "quota_bytes")),
    Metric("lane_last_sequence", Text("最新序号", "sequence of the newest record"), _LANE, _of("journal", "last")),
    Metric("uplink_connected", Text("上行已连接为 1", "1 while connected"), _UPLINK, _of("uplink", "connected")),
    Metric(
        "uplink_refused",
        Text("证书或配置被拒绝为 1", "1 while certificate, key or configuration are refused"),
        _UPLINK,
        _of("uplink", "refused"),
    ),
    Metric(
        "uplink_unsettled_records",
        Text("平台尚未回执的记录", "records without the district's receipt"),
        _UPLINK,
        _of("uplink", "unsettled"),
    ),
    Metric(
        "uplink_alarm_backlog",
        Text("平台尚未回执的报警", "alarms without the district's receipt"),
        _UPLINK,
        _of("uplink", "alarm_backlog"),
    ),
    Metric("output_on", Text("输出接通为 1", "1 while the lamp or sounder is on"), ("output",), _of("output", "on")),
    Metric(
        "output_failing",
        Text("输出无法控制为 1", "1 while the lamp or sounder cannot be switched"),
        ("output",),
        _of("output", "failing"),
    ),
    Metric(
        "output_writes_total",
        Text("控制次数", "times it was switched or set again"),
        ("output",),
        _of("output", "writes"),
    ),
    Metric("output_failures_total", Text("控制失败次数", "times that failed"), ("output",), _of("output", "failures")),
    Metric("uplink_in_flight", Text("在途消息", "messages in flight"), _UPLINK, _of("uplink", "in_flight")),
    Metric(
        "uplink_events_total",
        Text("上行事件计数", "what happened on the link"),
        ("uplink", "event"),
        _words("uplink", "counters"),
    ),
    Metric(
        "uplink_rejected_records",
        Text("被平台拒收的记录及原因", "records that were refused and are kept aside, with the reason"),
        ("uplink", "reason"),
        _words("uplink", "refused_records"),
    ),
)
