"""This project, from its working tree: durable journal (WAL, synchronous=FULL), every value of every scan sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.peers.plan import Command, Device, Place, Port, Product, Site, Value
from bench.world import ROOT, template
from gateway import __version__

ALARM = "alarm"
"""Stands for a device where a step is told by an alarm."""


def install(folder: Path) -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"{__version__} ({described.stdout.strip() or 'no commit'})"


def configure(site: Site, place: Place) -> Command:
    ports = {port: f"bus-{number}" for number, port in enumerate(dict.fromkeys(d.port for d in site.devices))}
    shapes = {blocks: f"shape_{number}" for number, blocks in enumerate(dict.fromkeys(d.blocks for d in site.devices))}
    for device in site.devices:
        _write(place.folder / "templates" / f"{shapes[device.blocks]}.yaml", _template(device, site.period_s))
    content: dict[str, Any] = {
        "gateway": {"id": "bench-01"},
        "report": {"by_exception": False},
        "buses": [_bus(name, port, site.timeout_s) for port, name in ports.items()],
        "devices": [
            {"id": d.name, "bus": ports[d.port], "template": shapes[d.blocks], "address": d.unit, "simulated": True,
             "text": {"zh": "压测", "en": "bench"}}
            for d in site.devices
        ],
        "uplinks": [
            {"id": "district", "host": "localhost", "port": place.mutual_port, "ca": "pki/ca.pem",
             "certificate": "pki/gateway.pem", "key": "pki/gateway.key", "receipts": "district"}
        ],
    }  # fmt: skip
    if site.watched:
        content["alarms"] = [
            {"id": "stepped", "class": "water", "severity": "high", "text": {"zh": "压测", "en": "bench"},
             "when": {"equals": {"point": f"{site.watched}/r0", "value": 1}}}
        ]  # fmt: skip
    _write(place.folder / "site.yaml", content)
    return Command((sys.executable, "-m", "gateway.cli", "run", "site.yaml"), {"PYTHONPATH": str(ROOT)})


def district(place: Place) -> Command:
    """The other end, which sends the receipts without which nothing counts as delivered."""
    return Command(
        (sys.executable, "-m", "district", "--broker", f"localhost:{place.mutual_port}", "--ca", "pki/ca.pem",
         "--cert", "pki/district.pem", "--key", "pki/district.key", "--database", "district.db"),
        {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _template(device: Device, period_s: float) -> dict[str, Any]:
    points = [
        {"name": f"r{register}", "group": "all", "kind": "int", "class": "measurement",
         "text": {"zh": f"寄存器{register}", "en": f"register {register}"},
         "at": {"table": "holding", "register": register, "type": "uint16"}}
        for register in device.registers
    ]  # fmt: skip
    return {**template(0, period_s), "points": points}


def _bus(name: str, port: Port, timeout_s: float) -> dict[str, Any]:
    if port.path:
        return {"id": name, "kind": "serial", "port": port.path, "baud": port.baud, "reply_timeout_s": timeout_s}
    return {"id": name, "kind": "tcp", "host": "127.0.0.1", "tcp_port": port.tcp_port, "reply_timeout_s": timeout_s}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False))  # JSON is YAML


def values(topic: str, payload: bytes) -> Iterator[Value]:
    if topic.endswith("/telemetry"):
        device = ""
        for item in json.loads(payload):
            if "bn" in item:
                device = item["bn"].split("/")[1]
            if "v" in item:
                yield device, int(item["n"][1:]), item["v"]
    elif topic.endswith("/alarm"):
        content = json.loads(payload)
        if content.get("alarm") == "stepped":
            yield ALARM, 0, float(content["present"])


PRODUCT = Product("gengfu", "TLS 1.3, mutual, QoS 1, durable", install, configure, values, watch=ALARM)
