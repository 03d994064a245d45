"""From what a scan found to a draft of a site file that `gengfu check` accepts, with comments on what a person has to say.

A device whose template is not clear, or whose address answers twice, is written as a comment: a wrong template reads wrong
registers and looks healthy. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.tools.scanning import Device, Scanned

HEAD = """\
# Draft by `gengfu scan`. Check each device against its label, say where it is (place), then: gengfu check
# 由 `gengfu scan` 生成的草稿。请核对每台设备的铭牌，填写位置（place），然后运行 gengfu check。
gateway: {id: draft-01, control_socket: run/control.sock}
journal: {directory: journal}
"""


def draft(scans: Sequence[Scanned]) -> str:
    heard = [scanned for scanned in scans if scanned.devices]
    lines, devices = [], []
    for scanned in heard:
        spec = scanned.spec
        echo = ", echo: true" if scanned.echo else ""
        if spec.port:
            lines.append(
                f'  - {{id: {spec.id}, kind: serial, port: "{spec.port}", baud: {spec.baud}, parity: {spec.parity}, '
                f"reply_timeout_s: {_timeout_s(scanned)}{echo}}}"
            )
        elif spec.rtu:
            lines.append(
                f'  - {{id: {spec.id}, kind: tcp, framing: rtu, host: "{spec.host}", tcp_port: {spec.tcp_port}, '
                f"baud: {spec.baud}, parity: {spec.parity}, reply_timeout_s: {_timeout_s(scanned)}}}"
            )
        else:
            lines.append(f'  - {{id: {spec.id}, kind: tcp, host: "{spec.host}", tcp_port: {spec.tcp_port}}}')
        devices += [_device(spec.id, device) for device in scanned.devices]
    sure = any(not one.startswith("#") for one in devices)
    return HEAD + "\n".join(
        [
            "buses:" if lines else "buses: []   # nobody answered 无应答",
            *lines,
            "devices:" if sure else "devices: []",
            *devices,
            "alarms: []   # what raises an alarm: docs/site-file.md 报警规则",
            "",
        ]
    )


def _timeout_s(scanned: Scanned) -> float:
    """Three times the slowest answer, at least 0.2 s."""
    return round(max(0.2, 3 * max(device.after_s for device in scanned.devices)), 1)


def _device(bus: str, device: Device) -> str:
    best = [fit for fit in device.fits if fit[1:] == device.fits[0][1:]]
    clear = len(best) == 1 and best[0].share == 1 and not device.twice
    name = "-".join(filter(None, (bus, str(device.address), device.driver if device.driver != "modbus" else "")))
    row = (
        f"  - {{id: {name}, bus: {bus}, template: {best[0].template if best else '?'}, address: {device.address}}}"
        + _said(device)
    )
    if clear:
        return row
    names = ", ".join(fit.template for fit in device.fits) or "none 无"
    why = "two devices on this address? 地址重复？" if device.twice else f"which template? 哪个模板？ {names}"
    return f"#{row[1:]}   # {why}"


def _said(device: Device) -> str:
    words = " ".join(device.identity.values())
    return f"   # {words}" if words else ""
