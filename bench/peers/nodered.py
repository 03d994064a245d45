"""Node-RED (npm) with node-red-contrib-modbus: one read node, one function and one MQTT node for each block.

The newest releases of node-red-contrib-modbus take a library from outside of the npm registry; this is the newest that does
not. No editor. Its serial type is RTU-BUFFERD, its default; with RTU it uses more of a fast line, but most requests are too early
and some run into one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.peers import environment
from bench.peers.plan import Command, Device, Place, Port, Product, Site, Value

PACKAGES = ("node-red@4.1.15", "node-red-contrib-modbus@5.23.3")
SETTINGS = "module.exports = {uiPort: 0, httpAdminRoot: false, httpNodeRoot: false, telemetry: {enabled: false}};\n"
SHOWN = {"z": "tab", "x": 0, "y": 0}
"""A node without a place is taken for a configuration."""
FORMAT = "msg.payload = JSON.stringify(msg.payload); return msg;"


def install(folder: Path) -> str:
    environment.npm(folder / "nodered", PACKAGES)
    return ", ".join(package.partition("@")[2] for package in PACKAGES)


def configure(site: Site, place: Place) -> Command:
    user = place.folder / "node-red"
    user.mkdir()
    (user / "settings.js").write_text(SETTINGS)
    (user / "package.json").write_text("{}")
    (user / "node_modules").symlink_to(place.installed / "nodered/node_modules")
    (user / "flows.json").write_text(json.dumps(list(_flow(site, place))))
    binary = place.installed / "nodered/node_modules/.bin/node-red"
    return Command((str(binary), "--userDir", str(user), "flows.json"))


def _flow(site: Site, place: Place) -> Iterator[dict[str, Any]]:
    pki = place.folder / "pki"
    yield {"id": "tab", "type": "tab", "label": "bench"}
    yield {"id": "tls", "type": "tls-config", "cert": str(pki / "gateway.pem"), "key": str(pki / "gateway.key"),
           "ca": str(pki / "ca.pem"), "verifyservercert": True, "servername": "localhost"}  # fmt: skip
    yield {"id": "broker", "type": "mqtt-broker", "broker": "localhost", "port": str(place.mutual_port), "tls": "tls",
           "clientid": "node-red", "autoConnect": True, "usetls": True, "protocolVersion": "5", "keepalive": "60",
           "cleansession": True}  # fmt: skip
    yield {
        "id": "out",
        "type": "mqtt out",
        **SHOWN,
        "topic": "",
        "qos": "1",
        "retain": "false",
        "broker": "broker",
        "wires": [],
    }
    yield {"id": "text", "type": "function", **SHOWN, "func": FORMAT, "outputs": 1, "wires": [["out"]]}
    ports = {port: f"port{number}" for number, port in enumerate(dict.fromkeys(d.port for d in site.devices))}
    for port, name in ports.items():
        yield _client(name, port, site.timeout_s)
    for device in site.devices:
        for number, (first, count) in enumerate(device.blocks):
            yield _read(device, f"{device.name}-{number}", ports[device.port], (first, count), site.period_s)


def _client(name: str, port: Port, timeout_s: float) -> dict[str, Any]:
    where = (
        {"clienttype": "serial", "serialPort": port.path, "serialType": "RTU-BUFFERD", "serialBaudrate": str(port.baud),
         "serialDatabits": "8", "serialStopbits": "1", "serialParity": "none", "serialConnectionDelay": "10"}
        if port.path
        else {"clienttype": "tcp", "tcpHost": "127.0.0.1", "tcpPort": str(port.tcp_port), "tcpType": "DEFAULT"}
    )  # fmt: skip
    return {
        "id": name, "type": "modbus-client", **where, "bufferCommands": True, "stateLogEnabled": False,
        "queueLogEnabled": False, "failureLogEnabled": False, "unit_id": "1", "commandDelay": "1",
        "clientTimeout": str(round(timeout_s * 1000)), "reconnectOnTimeout": False, "reconnectTimeout": "2000",
        "parallelUnitIdsAllowed": False,
    }  # fmt: skip


def _read(device: Device, name: str, port: str, block: tuple[int, int], period_s: float) -> dict[str, Any]:
    return {
        "id": name, "type": "modbus-read", **SHOWN, "topic": f"nodered/{device.name}/{block[0]}",
        "showStatusActivities": False, "logIOActivities": False, "showErrors": False, "showWarnings": False,
        "unitid": str(device.unit), "dataType": "HoldingRegister", "adr": str(block[0]), "quantity": str(block[1]),
        "rate": str(round(period_s * 1000)), "rateUnit": "ms", "delayOnStart": False, "startDelayTime": "",
        "server": port, "useIOFile": False, "ioFile": "", "useIOForPayload": False, "emptyMsgOnFail": False,
        "wires": [["text"], []],
    }  # fmt: skip


def values(topic: str, payload: bytes) -> Iterator[Value]:
    if topic.startswith("nodered/"):
        _, device, first = topic.split("/")
        yield from ((device, int(first) + number, value) for number, value in enumerate(json.loads(payload)))


PRODUCT = Product("node-red", "TLS 1.3, mutual, QoS 1", install, configure, values)
