"""What the people on watch set, over the control socket: arm, disarm, level, partitions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.commands.console import AsJson, Socket, Who, Why, ask_gateway, command, out, table

Named = Annotated[str, typer.Argument(help="Partition id. 分区编号")]


def partitions(socket: Socket = None, as_json: AsJson = False) -> None:
    """Guard level, partitions and their zones. 防控等级、分区和防区"""
    answer = ask_gateway(socket, {"do": "partitions"}, as_json)
    if answer is None:
        return
    out.print(f"guard level 防控等级: {answer['level']} {answer['level_text']}", markup=False)
    if not answer["partitions"]:
        out.print("no partitions in this site 本站没有分区")
    for one in answer["partitions"]:
        out.print(_title(one), markup=False, style="bold red" if one["intrusion"] else "bold")
        rows = [
            (
                zone["point"],
                f"{zone['text']['zh']}\n{zone['text']['en']}",
                f"{zone['state_text']['zh']} {zone['state_text']['en']}",
                _how(zone, one["bypass"]),
            )
            for zone in one["zones"]
        ]
        out.print(table("", ("zone 防区", "name 名称", "state 状态", "how 方式"), rows))


def arm(
    partition: Named,
    who: Who = "",
    why: Why = "",
    stay: Annotated[bool, typer.Option("--stay", help="People are inside. 留守布防")] = False,
    bypass: Annotated[
        list[str] | None, typer.Option(help="Go without this zone (device/point); may be repeated. 旁路的防区")
    ] = None,
    socket: Socket = None,
) -> None:
    """Arm a partition; exit status 1 with the zones in the way when it cannot. 布防"""
    value = " ".join(["stay" if stay else "away", *(bypass or ())])
    command("arm", partition, who, why, socket, value=value)


def disarm(partition: Named, who: Who = "", why: Why = "", socket: Socket = None) -> None:
    """Disarm a partition. 撤防"""
    command("disarm", partition, who, why, socket)


def level(
    to: Annotated[str, typer.Argument(help="Number or name of the level. 等级编号或名称")],
    who: Who = "",
    why: Why = "",
    socket: Socket = None,
) -> None:
    """Set the guard level; needs --who and --why. 设置防控等级（须写明何人、何故）"""
    command("level", "", who, why, socket, value=to)


def _title(one: dict[str, Any]) -> str:
    ends = "" if one["ends_in_s"] is None else f", {one['ends_in_s']:.0f} s left 剩余"
    mode = "" if one["mode"] == "off" else f" ({one['mode']})"
    intrusion = "  INTRUSION 入侵" if one["intrusion"] else ""
    return f"{one['id']}  {one['text']['zh']} {one['text']['en']}: {STATES[one['state']]}{mode}{ends}{intrusion}"


def _how(zone: dict[str, Any], bypass: list[str]) -> str:
    words = [
        (zone["entry"], "entry 出入"),
        (zone["interior"], "interior 内部"),
        (zone["point"] in bypass, "bypassed 旁路"),
    ]
    return ", ".join(word for applies, word in words if applies)


STATES = {
    "disarmed": "已撤防 disarmed",
    "exit_delay": "退出延时 exit delay",
    "armed": "已布防 armed",
    "entry_delay": "进入延时 entry delay",
}
