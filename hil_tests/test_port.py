"""The port itself: its settings, its parity on the wire, and an adapter that is pulled."""

from __future__ import annotations

import os
import select
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.field.port import open_serial
from gateway.model import BusKind, BusSpec
from hil_tests.setting import Mode, Setting
from hil_tests.world import Measured, World

EVERY_BYTE = bytes(range(255))
"""But for 0xFF, which PARMRK doubles."""
NOT_ON_A_PTY = "伪终端没有校验位，须用实物串口 / a pty has no parity: needs real ports"
HANDS_S = 120.0
"""For a person to reach the adapter."""


def test_the_lines_settings_are_those_that_were_asked_for(setting: Setting, world: World, measured: Measured) -> None:
    """串口参数确实是所要求的：速率、数据位、停止位；无流控。

    The port really has the speed, data bits and stop bits that were asked for, and no flow control.
    """
    control, speeds = settings_of(world.spec)
    assert speeds == (getattr(termios, f"B{setting.baud}"),) * 2
    assert control & termios.CSIZE == termios.CS8
    assert bool(control & termios.CSTOPB) is (setting.stop_bits == 2)
    assert not control & termios.CRTSCTS
    measured(
        f"{setting.baud} bit/s，8 位，停止位 {setting.stop_bits}",
        f"{setting.baud} bit/s, 8 data bits, {setting.stop_bits} stop bit(s)",
    )


def settings_of(spec: BusSpec) -> tuple[int, tuple[int, int]]:
    """Control flags and speeds (in, out) that the gateway's own way of opening gives, read back from the driver."""
    port = open_serial(spec)
    try:
        _, _, control, _, speed_in, speed_out, _ = termios.tcgetattr(port.fd)
    finally:
        port.close()
    return control, (speed_in, speed_out)


def test_the_parity_setting_is_the_one_that_was_asked_for(setting: Setting, world: World, measured: Measured) -> None:
    """串口的校验位设置确实是所要求的。

    The port's parity setting really is the one that was asked for.
    """
    if setting.simulated:
        pytest.skip(NOT_ON_A_PTY)
    control, _ = settings_of(world.spec)
    found = ("O" if control & termios.PARODD else "E") if control & termios.PARENB else "N"
    assert found == setting.parity
    measured(f"校验 {found}", f"parity {found}")


def test_the_parity_bit_is_right_on_the_wire(setting: Setting, measured: Measured, tmp_path: Path) -> None:
    """线上的校验位正确：对端按所设校验收到全部字节，换成相反校验则报错。

    The parity bit is right on the wire: the peer takes every byte with the parity asked for, and none with the opposite.
    """
    if setting.mode is not Mode.CROSSED:
        pytest.skip("须有两个对接的适配器 / needs two crossed adapters")
    if setting.simulated:
        pytest.skip(NOT_ON_A_PTY)
    if setting.parity == "N":
        pytest.skip("要求的是无校验 / no parity was asked for")
    assert sent_to_peer(setting, setting.parity) == EVERY_BYTE
    wrong = sent_to_peer(setting, "O" if setting.parity == "E" else "E")
    if wrong == EVERY_BYTE:
        pytest.skip("对端适配器不报告校验错误 / the peer's adapter does not report parity errors")
    marks = wrong.count(b"\xff\x00")
    measured(
        f"{len(EVERY_BYTE)} 个字节全部正确；相反校验时 {marks} 个报错",
        f"{len(EVERY_BYTE)} bytes right; {marks} errors with the opposite parity",
    )


def sent_to_peer(setting: Setting, parity: str) -> bytes:
    """What the peer takes of `EVERY_BYTE` with this parity; a byte with a wrong one has 0xFF 0x00 before it."""
    spec = BusSpec("line", BusKind.SERIAL, setting.port, setting.baud, setting.parity, setting.stop_bits)
    ours, peer = open_serial(spec), open_serial(replace(spec, port=setting.peer, parity=parity))
    try:
        flags = termios.tcgetattr(peer.fd)
        flags[0] |= termios.INPCK | termios.PARMRK
        termios.tcsetattr(peer.fd, termios.TCSANOW, flags)
        os.write(ours.fd, EVERY_BYTE)
        termios.tcdrain(ours.fd)
        got = b""
        while select.select([peer.fd], [], [], 0.5)[0]:
            got += peer.read()
    finally:
        ours.close()
        peer.close()
    return got


async def test_an_adapter_that_is_pulled_is_noticed_and_used_again_when_it_is_back(
    setting: Setting, world: World, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    """拔掉适配器立即报线路中断；重新插上后自动恢复，无需人工操作。

    A pulled adapter is noticed as a line that is down; plugged in again, the line works without anybody's help.
    """
    if setting.port and not setting.interactive:
        pytest.skip("须有人拔插：加 --interactive / needs a person: add --interactive")
    device, patience_s = next(iter(world.devices)), HANDS_S if setting.port else 10.0
    await world.back_after_s(device, 10.0)
    ask(capsys, setting, f"请拔掉 {setting.port} / now pull the adapter of {setting.port}")
    if not setting.port:
        world.simulator.pull()
    down_s = await world.down_after_s(device, patience_s)
    ask(capsys, setting, "请重新插上 / now plug it in again")
    if not setting.port:
        world.simulator.plug()
    back_s = await world.back_after_s(device, patience_s)
    if setting.port:
        measured(
            "已发现中断，插回后恢复（时间含人手）", "noticed, and back after it was plugged in (times include hands)"
        )
    else:
        measured(
            f"{down_s:.2f} s 后报中断，插回 {back_s:.1f} s 后恢复",
            f"noticed after {down_s:.2f} s, back {back_s:.1f} s after it was plugged in",
        )


def ask(capsys: pytest.CaptureFixture[str], setting: Setting, what: str) -> None:
    """Tell the person at the adapter what to do."""
    if setting.interactive:
        with capsys.disabled():
            sys.stdout.write(f"\n>>> {what}\n")
            sys.stdout.flush()
