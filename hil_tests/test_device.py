"""One real device with its template. It is only read: no driver of Gengfu writes."""

from __future__ import annotations

import statistics

from gateway.model import Quality
from hil_tests.setting import Setting
from hil_tests.world import Measured, World

POLLS = 100, 10  # on real ports, over a pty
MOST_FAILURES = 5
DISTANCES = 20, 4


async def test_the_device_answers_and_every_point_is_good(world: World, measured: Measured) -> None:
    """设备应答，模板中的每个测点质量均为良好。请将右列数值与设备显示逐一核对。

    The device answers and every point of its template is GOOD. Compare the values with what the device shows.
    """
    told = []
    device = world.devices["device"]
    bad = []
    for index, group in enumerate(device.groups):
        scan = await world.read("device", index)
        for point, value, quality in zip(group.points, scan.values, scan.qualities, strict=True):
            shown = "-" if value is None else value if isinstance(value, str) else f"{value:.6g}"
            told.append(f"{point.name} {shown} {point.unit}".strip())
            if quality:
                bad.append(f"{point.name}: {Quality(quality).label}")
    proof = ("，模板未经证实", ", the template is not proved") if world.unproved else ("", "")
    measured("; ".join(told) + proof[0], "; ".join(told) + proof[1])
    assert not bad, "; ".join(bad)


async def test_it_answers_every_time(setting: Setting, world: World, measured: Measured) -> None:
    """连续轮询每次都有可信的应答；每次轮询所用时间。

    It answers every poll in a row with frames that can be trusted; the time that a poll takes.
    """
    took_s = []
    failed = []
    polls = setting.times(*POLLS)
    for turn in range(polls * len(world.devices["device"].groups)):
        begin = world.now()
        if await world.tried("device", turn // polls) is None:
            failed.append(turn)
        took_s.append(world.now() - begin)
        if len(failed) == MOST_FAILURES:
            break
    counters = world.bus.counters
    median_s, longest_s = statistics.median(took_s), max(took_s[1:])
    measured(
        f"{counters.requests} 次请求，{counters.replies} 次应答，超时 {counters.timeouts}，坏帧 {counters.bad_frames}；"
        f"中位 {1000 * median_s:.0f} ms，最长 {1000 * longest_s:.0f} ms",
        f"{counters.requests} requests, {counters.replies} replies, {counters.timeouts} time-outs, "
        f"{counters.bad_frames} bad frames; a poll: median {1000 * median_s:.0f} ms, longest {1000 * longest_s:.0f} ms",
    )
    assert not failed, f"{len(failed)} of {len(took_s)} polls failed"
    assert counters.replies == counters.requests


async def test_it_is_read_as_often_as_its_template_asks(setting: Setting, world: World, measured: Measured) -> None:
    """网关的轮询达到模板要求的周期；线路占用率。

    The gateway's poller reads it as often as its template asks; the share of the line that this takes.
    """
    device = world.devices["device"]
    count = setting.times(*DISTANCES)
    asked_s = min(group.period_s for group in device.groups)
    longest_watch_s = 10.0 + 2 * count * asked_s * setting.slack
    seen = await world.watch(lambda seen: len(seen.distances_s(device)) >= count, longest_watch_s)
    distances = seen.distances_s(device)
    mean_s, longest_s = statistics.fmean(distances), max(distances)
    measured(
        f"平均 {mean_s:.2f} s，最长 {longest_s:.2f} s，要求 {asked_s:g} s；占用 {seen.busy:.0%}",
        f"mean {mean_s:.2f} s, longest {longest_s:.2f} s, asked for {asked_s:g} s; {seen.busy:.0%} of the line",
    )
    assert mean_s <= setting.slack * asked_s
    assert seen.busy < 1
