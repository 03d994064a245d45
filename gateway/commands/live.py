"""Commands to the running gateway over its control socket: status, alarms, ack, reset, silence, read."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.commands.console import AsJson, Socket, Who, Why, ask_gateway, because, command, out, quality, table
from gateway.tables import alarm_table, aside_table, part_tables, value_text


def status(socket: Socket = None, as_json: AsJson = False) -> None:
    """How the gateway is: lines, devices, uplinks, disk. 网关状态"""
    answer = ask_gateway(socket, {"do": "status"}, as_json)
    if answer is None:
        return
    out.print(
        f"[bold]{answer['gateway']}[/]  up {answer['uptime_s']:.0f} s, clock {answer['clock']}, {answer['scans']} scans"
    )
    rows = [
        (
            d["id"],
            d["bus"],
            f"{d['text']['zh']}\n[dim]{d['text']['en']}[/]",
            f"{d['place']['zh']}\n[dim]{d['place']['en']}[/]",
            quality(d["quality"]),
            because(d["why_text"] if d["why"] else None, d["reason"]),
            "simulated 模拟" if d["simulated"] else "",
        )
        for d in answer["devices"]
    ]
    out.print(
        table(
            "Devices 设备", ("device 设备", "bus 总线", "name 名称", "place 位置", "quality 质量", "why 原因", ""), rows
        )
    )
    for one in part_tables(answer["parts"]):
        out.print(one)
    if answer["aside"]:
        out.print(aside_table(answer["aside"]))
    for name, fault in answer["faults"].items():
        out.print(f"fault 故障 {name}: {fault}", style="red", markup=False)


def alarms(
    socket: Socket = None,
    as_json: AsJson = False,
    aside: Annotated[
        bool, typer.Option("--aside", help="Only what is hidden: by whom, why, until when. 仅列出被搁置、停用、抑制的")
    ] = False,
) -> None:
    """Alarms that are not normal, how far each has come, and what is hidden. 当前报警及被隐藏的报警"""
    answer = ask_gateway(socket, {"do": "alarms"}, as_json)
    if answer is None:
        return
    if not aside:
        out.print(alarm_table(answer["alarms"]) if answer["alarms"] else "no alarms 无报警")
    if answer["aside"]:
        out.print(aside_table(answer["aside"]))
    elif aside:
        out.print("nothing is hidden 没有被搁置、停用或抑制的报警")


def ack(
    alarm: Annotated[str, typer.Argument(help="Alarm id. 报警编号")],
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
) -> None:
    """Acknowledge an alarm. 确认报警"""
    command("acknowledge", alarm, who, why, socket)


def reset(
    alarm: Annotated[str, typer.Argument(help="Alarm id. 报警编号")],
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
) -> None:
    """Reset a latched alarm whose cause is gone. 复位已锁存的报警"""
    command("reset", alarm, who, why, socket)


def silence(
    output: Annotated[str, typer.Argument(help="Only this output; all without it. 仅此输出；不写为全部")] = "",
    who: Who = "",
    why: Why = "",
    of: Annotated[
        list[str] | None, typer.Option("--class", help="Only alarms of this class; may be repeated. 仅此类别，可重复")
    ] = None,
    socket: Socket = None,
) -> None:
    """Silence the sounders until something new calls; the alarms stay unacknowledged. 消音（新报警会再次鸣响；不等于确认）"""
    command("silence", output, who, why, socket, value=" ".join(of or ()))


def read(
    device: Annotated[str, typer.Argument(help="Device id. 设备编号")],
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """The latest values of a device, each with its quality and age. 设备的最新数值"""
    answer = ask_gateway(socket, {"do": "read", "device": device}, as_json)
    if answer is None:
        return
    rows = [
        (
            p["id"],
            p["text"]["zh"],
            p["text"]["en"],
            value_text(p),
            quality(p["quality"]),
            because(p["reason"]),
            f"{p['age_s']} s" if p["age_s"] is not None else "-",
        )
        for p in answer["points"]
    ]
    out.print(table(f"{device}", ("point", "名称", "name", "value", "quality", "why 原因", "age"), rows))
