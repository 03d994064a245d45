"""The whole line: the gateway's bus, drivers and poller at one end, the simulator's devices at the other."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers import DRIVERS
from firmware_sim.scene import SceneError
from gateway.model import BusKind, Device, Quality
from hil_tests.setting import TEMPLATES, Setting
from hil_tests.simulator import STORY, Simulator
from hil_tests.world import Measured, Watch, World, good

# on real ports, over a pty
ROUNDS = 50, 8
ILL_ROUNDS = 10, 3
DISTANCES = 20, 4
LATE_S = 0.15
"""In the middle of the silence that the bus waits for after a time-out."""
LONGEST_WATCH_S = 240.0
FAULTS = {
    "silent": "不答",
    "late": "迟答",
    "short": "只答半帧",
    "garbled": "应答有误码",
    "foreign": "以他人地址应答",
    "echo": "回波",
    "babble": "乱发",
}

THE_ANSWER_ARRIVES = {"echo", "babble"}
"""Under the others nothing that the ill device sends may be taken, wherever its frame is damaged."""


def asking_templates() -> Iterator[Any]:
    """Templates of devices that are asked over a serial line."""
    for path in sorted(TEMPLATES.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        driver = DRIVERS[content["driver"]]
        if driver.open is not None and BusKind.SERIAL in driver.buses:
            yield pytest.param(path.stem, marks=pytest.mark.subject(f"{path.stem}：", f"{path.stem}: "), id=path.stem)


async def test_the_silence_between_frames_is_kept(setting: Setting, world: World, measured: Measured) -> None:
    """两帧之间的静默（T3.5）始终保持，两种协议共用一条线；没有请求过早、断裂或无法识别。

    The silence between two frames (T3.5) is always kept, with two protocols on one line; no request is too early, torn
    or unreadable.
    """
    await world.back_after_s("smoke-1", 10.0)  # an adapter that is opened may disturb the line once
    rounds = setting.times(*ROUNDS)
    kinds = ("too_early", "gap", "unreadable", "collision")
    before = {why: world.simulator.complaints(why) for why in kinds}
    scans = [await world.tried(device) for _ in range(rounds) for device in world.devices]
    answered = sum(scan is not None and good(scan) for scan in scans)
    complaints = {why: world.simulator.complaints(why) - before[why] for why in kinds}
    measured(
        f"{len(scans)} 次请求，{answered} 次应答，过早 {complaints['too_early']} 次",
        f"{len(scans)} requests, {answered} answered, {complaints['too_early']} too early",
    )
    assert not any(complaints.values()), f"the simulator complains: {complaints}"
    assert answered == len(scans)


@pytest.mark.parametrize("template", list(asking_templates()))
async def test_a_template_reads_what_the_device_has(
    setting: Setting, tmp_path: Path, measured: Measured, template: str
) -> None:
    """按此模板读到的值与设备的值相同，质量均为良好。

    Read with this template, every point has the device's value and is GOOD.
    """
    content = yaml.safe_load((TEMPLATES / f"{template}.yaml").read_text(encoding="utf-8"))
    values: dict[str, float] = {}
    for golden in content["golden"]:
        values |= {name: value for name, value in golden["values"].items() if value is not None and name not in values}
    entry = {"id": "device", "template": template, "address": 101, "values": values}
    try:
        simulator = Simulator(setting, tmp_path, [*STORY, entry])
    except SceneError as error:
        why = str(error).rpartition("template: ")[2]
        pytest.skip(f"模拟器不能模拟此型号：{why} / the simulator cannot play it: {why}")
    points = 0
    with closing(simulator), closing(World(setting, tmp_path, [entry], simulator)) as world:
        for index, group in enumerate(world.devices["device"].groups):
            scan = await world.read("device", index)
            assert good(scan), [Quality(quality).label for quality in scan.qualities]
            expected = [float(values.get(point.name, 0)) for point in group.points]
            assert list(scan.values) == pytest.approx(expected, rel=1e-6, abs=1e-9)
            points += len(expected)
    measured(f"{points} 个测点，值均相符", f"{points} points, all equal")


@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=pytest.mark.subject(f"{zh}：", f"{what}: "), id=what) for what, zh in FAULTS.items()],
)
async def test_an_ill_device_never_gives_a_wrong_value_and_comes_back(
    setting: Setting, world: World, measured: Measured, what: str
) -> None:
    """设备有此故障时，本设备和邻居都没有错误值或过时的值；故障消除后自动恢复。

    While a device is ill in this way, neither it nor its neighbour gives a wrong or an old value; when it is well, so
    are both.
    """
    field, counters = world.simulator.field, world.bus.counters
    fault = {"after_s": setting.reply_timeout_s + LATE_S} if what == "late" else {}
    field.set_fault({"device": "smoke-1", "what": what, **fault})
    polls = refused = taken = 0
    for turn in range(setting.times(*ILL_ROUNDS)):
        densities = {
            "smoke-1": 1.11 + turn / 2,
            "smoke-2": 12.22 + turn / 2,
        }  # a value of the turn before would be an old one
        field.set({f"{device}/density": density for device, density in densities.items()})
        for device, density in densities.items():
            scan = await world.tried(device)
            polls += 1
            refused += scan is None or not good(scan)
            if scan is not None and good(scan):
                taken += device == "smoke-1"
                assert scan.values == pytest.approx((density, 0, 0)), f"{device} gave a wrong value"
    assert not taken or what in THE_ANSWER_ARRIVES, f"{taken} damaged, late or foreign answers were taken"
    assert refused or counters.early_bytes or counters.stray_bytes, "the fault was not seen on the line"
    field.set_fault({"device": "smoke-1", "what": "none"})
    took_s = [await world.back_after_s(device, 5.0 + 5 * setting.reply_timeout_s) for device in densities]
    for device, density in densities.items():
        assert (await world.read(device)).values == pytest.approx((density, 0, 0))
    measured(
        f"{polls} 次轮询，{refused} 次判为无效，错误值 0；恢复用时 {sum(took_s):.1f} s",
        f"{polls} polls, {refused} refused, no wrong value; well again after {sum(took_s):.1f} s",
    )


async def test_the_line_has_room_for_its_devices(setting: Setting, world: World, measured: Measured) -> None:
    """四台设备都正常时，各自达到要求的周期；线路占用率。

    With four healthy devices each is read as often as asked; the share of the line that this takes.
    """
    count = setting.times(*DISTANCES)
    seen = await world.watch(lambda seen: enough(seen, world.devices.values(), count), LONGEST_WATCH_S)
    found = achieved(seen, world.devices.values())
    for id, (asked_s, mean_s, _) in found.items():
        assert mean_s <= setting.slack * asked_s, f"{id}: {mean_s:.2f} s instead of {asked_s:g} s"
    assert 0 < seen.busy < 1
    measured(
        f"占用 {seen.busy:.0%}；{told(found)}（平均/最长/要求）",
        f"{seen.busy:.0%} of the line; {told(found)} (mean/longest/asked for)",
    )


async def test_a_dead_device_does_not_stall_the_others(setting: Setting, world: World, measured: Measured) -> None:
    """一台设备失联时，其余设备仍按周期读取：最多多等一次超时和静默。

    With one dead device on the line the others are still read: a time-out and a silence more is the most that they wait.
    """
    world.simulator.field.set_fault({"device": "smoke-2", "what": "silent"})
    living = [device for device in world.devices.values() if device.id != "smoke-2"]
    count = setting.times(*DISTANCES)
    seen = await world.watch(lambda seen: enough(seen, living, count), LONGEST_WATCH_S)
    of_the_dead = [scan for scan in seen.scans if scan.device == "smoke-2"]
    assert of_the_dead, "its silence is no sample"
    assert not any(map(good, of_the_dead)), "a dead device is shown as healthy"
    found = achieved(seen, living)
    lost_s = setting.reply_timeout_s + max(setting.reply_timeout_s, 0.3)
    for id, (asked_s, mean_s, longest_s) in found.items():
        assert mean_s <= setting.slack * (asked_s + lost_s), f"{id}: {mean_s:.2f} s instead of {asked_s:g} s"
        assert longest_s <= 5 * (asked_s + lost_s), f"{id}: once {longest_s:.2f} s"
    measured(f"{told(found)}（平均/最长/要求）", f"{told(found)} (mean/longest/asked for)")


def enough(seen: Watch, devices: Iterable[Device], count: int) -> bool:
    return all(len(seen.distances_s(device)) >= count for device in devices)


def achieved(seen: Watch, devices: Iterable[Device]) -> dict[str, tuple[float, float, float]]:
    """Device -> period asked for, mean and longest of what was achieved."""
    found = {}
    for device in devices:
        distances = seen.distances_s(device)
        found[device.id] = (
            min(group.period_s for group in device.groups),
            statistics.fmean(distances),
            max(distances),
        )
    return found


def told(found: Mapping[str, tuple[float, float, float]]) -> str:
    return "; ".join(f"{id} {mean:.2f}/{longest:.2f}/{asked:g} s" for id, (asked, mean, longest) in found.items())
