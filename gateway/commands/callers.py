"""Commands about devices that call the gateway: discover, duty-check."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.commands.console import AsJson, Socket, Why, ask_gateway, err, out, table
from gateway.errors import ConfigError

_OPEN = ("asked", "confirmed")


def discover(
    site: Annotated[
        Path | None, typer.Argument(help="Site file of the running gateway, instead of --socket. 运行中网关的站点文件")
    ] = None,
    socket: Socket = None,
    draft: Annotated[
        Path | None, typer.Option(help="Write a draft of the devices here, templates beside it. 写出设备草稿")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What speaks on the ports where devices call: addresses, systems, parts, strangers too. 列出所有呼入的设备

    Exit status: 0, or 1 when no gateway answers or the draft cannot be written.
    """
    answer = ask_gateway(socket or (_socket_of(site) if site else None), {"do": "heard"}, as_json=False)
    assert answer is not None  # only with as_json
    if draft:
        _write(draft, answer["heard"])
    if as_json:
        typer.echo(_json(answer))
        return
    if not answer["heard"]:
        ports = ", ".join(answer["ports"]) or "-"
        out.print(f"nothing was heard yet on 尚未听到任何设备: {ports}", markup=False)
        return
    columns = ("bus 总线", "address 地址", "what 对象", "说明 / says", "seen 侦听")
    out.print(table("Heard 已侦听到", columns, [_row(row) for row in answer["heard"]]))


def _socket_of(site: Path) -> Path:
    from gateway import config

    try:
        return Path(config.load(site).gateway.control_socket)
    except ConfigError as error:
        for mistake in error.mistakes:
            err.print(str(mistake), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    about = " ".join(f"{key}={value}" for key, value in row["about"].items()) or "-"
    told = f"{row['says']['zh']}\n[dim]{escape(row['says']['en'])}[/]"
    caller = escape(row["caller"]) + ("" if row["known"] else "\n[yellow]stranger 未登记[/]")
    seen = f"{row['last_s_ago']:.0f} s ago 秒前\n{row['times']} x, {escape(row['peer'])}"
    return row["bus"], caller, escape(about), told, seen


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The fragment at `path`, the templates in the folder ``templates`` beside it; nothing there is overwritten."""
    from gateway.discovery import draft

    fragment, templates = draft(rows)
    files = {path: fragment} | {path.parent / "templates" / f"{name}.yaml": text for name, text in templates.items()}
    taken = [str(file) for file in files if file.exists()]
    if taken:
        err.print(f"already there, not overwritten 已存在，未覆盖: {', '.join(taken)}", markup=False)
        raise typer.Exit(1)
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            err.print(f"written 已写入: {file}", markup=False)
    except OSError as error:
        err.print(f"cannot be written 无法写入: {error}", markup=False)
        raise typer.Exit(1) from None


def _json(answer: dict[str, Any]) -> str:
    import json

    return json.dumps(answer, ensure_ascii=False, indent=1)


def duty_check(
    device: Annotated[str, typer.Argument(help="Device id of the transmission device. 传输装置编号")],
    who: Annotated[str, typer.Option(help="Your name; it is recorded. 姓名（将被记录）")],
    minutes: Annotated[int, typer.Option(help="Time to answer in. 应答时限（分钟）", min=1, max=255)] = 10,
    why: Why = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer. 等待应答")] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether somebody is on duty at a fire transmission device. 查岗

    Exit status: 0 when it was sent (with --wait: answered in time), 1 otherwise.
    """
    request = {"do": "duty_check", "device": device, "minutes": minutes, "who": who, "why": why}
    answer = ask_gateway(socket, request, as_json and not wait)
    if answer is None:
        return
    if not wait:
        out.print(f"sent, recorded as 已发送，已记录：{answer['who']}", markup=False)
        return
    points = _outcome(socket, device)
    while points.get("duty_check") in _OPEN:
        time.sleep(0.5)
        points = _outcome(socket, device)
    if as_json:
        typer.echo(_json({"device": device, **points}))
    else:
        out.print(_told(points), markup=False)
    if points.get("duty_check") != "answered":
        raise typer.Exit(1)


def _outcome(socket: Path | None, device: str) -> dict[str, Any]:
    answer = ask_gateway(socket, {"do": "read", "device": device}, as_json=False)
    assert answer is not None  # only with as_json
    return {point["id"].rpartition("/")[2]: point["value"] for point in answer["points"] if "duty" in point["id"]}


def _told(points: dict[str, Any]) -> str:
    outcome, operator, seconds = (points.get(name) for name in ("duty_check", "duty_operator", "duty_answer_s"))
    if outcome == "answered":
        return f"answered by operator {operator} after {seconds} s  {operator} 号操作员 {seconds} 秒后应答"
    words = {"unanswered": "nobody answered 无人应答", "not_delivered": "the device did not confirm it 装置未确认"}
    return words.get(str(outcome), f"{outcome}")
