"""The demo: a whole compound on this machine, each part a process of its own, and the story that plays in it.

    simulator (pty, TCP, terminal) -> gateway -> link (a relay: the 4G modem) -> broker -> district

Every process is real: what the demo stalls (SIGSTOP), cuts and kills (SIGKILL) is stalled, cut and killed. The report is
computed afterwards from what the simulator, the journal and the district wrote down, by `gateway.demo.report`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml

from gateway import pki
from gateway.demo import broker, report, screen
from gateway.demo.compound import SOURCE, Broken, Compound
from gateway.errors import ConfigError

MARK = ".gengfu-demo"
SHORTEST_S = 75.0
"""The story with its start and its end takes this long."""
SETTLE_S = 8.0
"""Longest wait, once the story has ended, for the last receipts."""


async def build(compound: Compound) -> None:
    """Start every part, from the broker to the gateway, until all of them are well."""
    folder = compound.folder
    pki.init(folder / "pki", force=True)
    try:
        compound.broker = await broker.start(folder / "broker", folder / "pki")
    except ConfigError as error:
        raise Broken(str(error)) from error
    compound.note(f"broker 消息服务器: {compound.broker.variant.value}")
    await start_link(compound)
    await compound.start(
        "district", "-m", "district", "--broker", f"localhost:{compound.broker.port}", "--ca", "pki/ca.pem",
        "--cert", "pki/district.pem", "--key", "pki/district.key", "--database", "district.db",
    )  # fmt: skip
    shutil.copy(SOURCE / "scene.yaml", folder)
    await compound.start("simulator", "-m", "firmware_sim", "scene.yaml", "--dir", ".", stdin=asyncio.subprocess.PIPE)
    ports = json.loads(
        await compound.wait_for(
            "simulator", lambda: (folder / "ports.json").exists() and (folder / "ports.json").read_text()
        )
    )
    hydrants = broker.free_port()
    write_site(compound, ports, hydrants)
    await start_gateway(compound)
    tell(compound, {"connect": {"hydrant-1": ["127.0.0.1", hydrants]}})
    await compound.wait_for("gateway", lambda: all_well(compound.ask("status")), 20)


def all_well(status: dict[str, Any] | None) -> bool:
    """Every device answers and the uplink is connected: the story can begin."""
    if status is None:
        return False
    uplinks = [part for name, part in status["parts"].items() if name.startswith("uplink")]
    return all(device["quality"] == "good" for device in status["devices"]) and all(
        uplink.get("connected") for uplink in uplinks
    )


def write_site(compound: Compound, ports: dict[str, Any], hydrants: int) -> None:
    """The demo's site file with the ports that this run got."""
    site = yaml.safe_load((SOURCE / "site.yaml").read_text())
    for bus in site["buses"]:
        if bus["kind"] == "serial":
            bus["port"] = ports[bus["id"]]
        else:
            bus["tcp_port"] = hydrants if bus["kind"] == "listen" else ports[bus["id"]]
    for uplink in site["uplinks"]:
        uplink["port"] = compound.link_port
    site["gateway"]["control_socket"] = "run/control.sock"
    (compound.folder / "site.yaml").write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False))


def tell(compound: Compound, order: dict[str, Any]) -> None:
    """One order to the simulator."""
    stdin = compound.parts["simulator"].stdin
    assert stdin is not None  # it was started with a pipe
    stdin.write(json.dumps(order).encode() + b"\n")


async def start_gateway(compound: Compound) -> None:
    await compound.start("gateway", "-m", "gateway.cli", "run", "site.yaml")


async def start_link(compound: Compound) -> None:
    assert compound.broker is not None  # `build` starts it first
    announce = compound.folder / "link.json"
    announce.unlink(missing_ok=True)
    await compound.start(
        "link", "-m", "firmware_sim.link", "--listen", str(compound.link_port),
        "--to", f"127.0.0.1:{compound.broker.port}", "--announce", str(announce),
    )  # fmt: skip
    told = await compound.wait_for("link", lambda: announce.exists() and announce.read_text())
    compound.link_port = int(json.loads(told)["port"])


def steps(compound: Compound) -> dict[tuple[str, str], tuple[str, Callable[[], Awaitable[None]]]]:
    """What the story can do to link and gateway: (who, what) -> (words for the screen, the deed)."""

    async def stall() -> None:
        compound.parts["link"].send_signal(signal.SIGSTOP)

    return {
        ("link", "stall"): ("the link stalls 链路停滞 (SIGSTOP)", stall),
        ("link", "close"): ("link closes 链路断开", lambda: compound.stop("link", signal.SIGKILL)),
        ("link", "open"): ("the link is back 链路恢复", lambda: start_link(compound)),
        ("gateway", "kill"): (
            "gateway killed 网关被强制终止 (kill -9)",
            lambda: compound.stop("gateway", signal.SIGKILL),
        ),
        ("gateway", "start"): ("gateway started again 网关重新启动", lambda: start_gateway(compound)),
    }


def story_end(compound: Compound) -> float:
    """Seconds after which everything in the story has happened and been seen."""
    steps = yaml.safe_load((compound.folder / "scene.yaml").read_text())["story"]
    ends = [float(step["at"]) + float(step.get("ramp", {}).get("over_s", 0)) for step in steps]
    return max(ends) + 3.0


async def tell_story(compound: Compound, t0: float) -> None:
    """Play the steps for link and gateway; the simulator plays its own from the same file."""
    deeds = steps(compound)
    story = yaml.safe_load((compound.folder / "scene.yaml").read_text())["story"]
    for step in sorted(story, key=lambda step: float(step["at"])):
        for who in ("link", "gateway"):
            if who in step:
                await asyncio.sleep(max(0.0, t0 + step["at"] - time.time()))
                words, deed = deeds[who, step[who]]
                compound.look_at_gateway()
                compound.note(words)
                await deed()


async def play(folder: Path, seconds: float | None, watch: screen.Screen) -> dict[str, Any]:
    """The whole demo. Returns the report. A cancellation (Ctrl-C) ends it cleanly, with what there is."""
    compound = Compound(folder)
    began = time.monotonic()
    interrupted = False
    try:
        watch.say("starting 启动中…")
        await build(compound)
        t0 = time.time()
        tell(compound, {"go": t0})
        compound.note("all devices answer, the district listens; the story begins 演示开始")
        story = asyncio.create_task(tell_story(compound, t0), name="story")
        try:
            ends = t0 + story_end(compound)
            while seconds is None or time.time() < ends or time.monotonic() - began < seconds - SETTLE_S:
                compound.look_at_gateway()
                watch.show(compound.look(), compound.ask("points"), compound.events)
                await asyncio.sleep(0.5)
            await story
        finally:
            story.cancel()
    except asyncio.CancelledError:
        interrupted = True
    finally:
        await end(compound, watch)
    variant = compound.broker.variant.value if compound.broker else ""
    result = report.compute(folder, compound.events, compound.usage)
    result["tls_version"] = compound.tls_version
    result["client_certificate"] = report.client_certificate(folder, variant)
    result["interrupted"] = interrupted
    return result


async def end(compound: Compound, watch: screen.Screen) -> None:
    """Let the last receipts come, then stop in the order of the data: gateway first, that nothing looks dead to it."""
    if "link" not in compound.parts and compound.link_port:
        await start_link(compound)
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and "gateway" in compound.parts:
        status = compound.ask("status")
        watch.show(status, compound.ask("points"), compound.events)
        if status and settled(status):
            break
        await asyncio.sleep(0.2)
    compound.look_at_gateway()
    for name in ("gateway", "simulator", "link", "district"):
        await compound.stop(name)
    if compound.broker:
        await compound.broker.stop()


def settled(status: dict[str, Any]) -> bool:
    """Has the district given its receipt for everything?"""
    uplinks = [part for name, part in status["parts"].items() if name.startswith("uplink")]
    return all(uplink.get("unsettled") == 0 for uplink in uplinks)


def demo(seconds: float | None, keep: Path | None, report_file: Path | None, picture: Path | None) -> int:
    """What ``gengfu demo`` does. Returns the exit status: 0 nothing lost and every alarm receipted, 1 else, 2 usage."""
    if seconds is not None and seconds < SHORTEST_S:
        sys.stderr.write(
            f"the story takes {SHORTEST_S:.0f} s; --for must be at least that. 演示至少需要 {SHORTEST_S:.0f} 秒。\n"
        )
        return 2
    folder = (keep or Path("demo-run")).absolute()
    if not make_room(folder):
        sys.stderr.write(f"{folder} is not empty and not of an earlier demo. {folder} 非空，且不是先前演示的目录。\n")
        return 2
    watch = screen.Screen(live=seconds is None)
    try:
        result = asyncio.run(_until_interrupted(folder, seconds, watch))
    except Broken as broken:
        sys.stderr.write(f"{broken}\n")
        return 1
    finally:
        watch.close()
    if picture:
        watch.save(picture)
    if report_file:
        report_file.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    watch.summary(result, folder)
    return 0 if result["complete"] else 1


def make_room(folder: Path) -> bool:
    """An empty folder for this run; what an earlier demo left is removed, anything else is left alone (False)."""
    mark = folder / MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.exists():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.write_text("made by `gengfu demo`; removed by the next one\n")
    return True


async def _until_interrupted(folder: Path, seconds: float | None, watch: screen.Screen) -> dict[str, Any]:
    task = asyncio.create_task(play(folder, seconds, watch), name="demo")
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        """The first signal ends the demo in order; a second must not leave processes behind."""
        if not task.cancelling():
            task.cancel()

    for how in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(how, interrupt)
    return await task
