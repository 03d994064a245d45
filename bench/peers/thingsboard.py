"""thingsboard-gateway (PyPI) with register ranges, its storage in memory (its default, and its fastest).

Its statistics, remote shell, remote configuration and inactivity checks are off. Its source fixes TLS 1.2. The receiver plays
as much of ThingsBoard as it waits for: the limits of the session, which are none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.peers import environment
from bench.peers.plan import Command, Device, Place, Product, Site, Value

VERSION = "3.8.5"
MODULES = ("pymodbus==3.9.2", "pyserial==3.5", "pyserial-asyncio==0.6")
"""What it would install at its first start."""
ASKED, ANSWERED = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"


def install(folder: Path) -> str:
    environment.pip(folder / "thingsboard", [f"thingsboard-gateway=={VERSION}", *MODULES])
    return VERSION


def configure(site: Site, place: Place) -> Command:
    config = place.folder / "config"
    config.mkdir()
    (place.folder / "logs").mkdir()  # without it its own logging is off and pymodbus's warnings cost more than its work
    home = place.installed / "thingsboard"
    (shipped,) = home.glob("lib/python3*/site-packages/thingsboard_gateway/config")
    shutil.copy(shipped / "logs.json", config)
    slaves = [_slave(device, site) for device in site.devices]
    (config / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}))
    (config / "tb_gateway.json").write_text(json.dumps(_main(place)))
    # It asks the internet for a newer version of itself; here that ends at once.
    quiet = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    return Command((str(home / "bin/thingsboard-gateway"),), {"TB_GW_CONFIG_DIR": str(config), **quiet})


def _main(place: Place) -> dict[str, Any]:
    pki = place.folder / "pki"
    return {
        "thingsboard": {
            "host": "localhost", "port": place.mutual_port, "qos": 1,
            "remoteShell": False, "remoteConfiguration": False,
            "statistics": {"enable": False, "enableCustom": False},
            "checkingDeviceActivity": {"checkDeviceInactivity": False},
            "reportStrategy": {"type": "ON_RECEIVED"},
            "minPackSendDelayMS": 50, "minPackSizeToSend": 500, "maxPayloadSizeBytes": 65536,
            "security": {"type": "x509Certificate", "caCert": str(pki / "ca.pem"),
                         "privateKey": str(pki / "gateway.key"), "cert": str(pki / "gateway.pem")},
        },
        "storage": {"type": "memory", "read_records_count": 1000, "max_records_count": 100000},
        "grpc": {"enabled": False},
        "connectors": [{"name": "modbus", "type": "modbus", "configuration": "modbus.json"}],
    }  # fmt: skip


def _slave(device: Device, site: Site) -> dict[str, Any]:
    port = device.port
    where = (
        {
            "type": "serial",
            "method": "rtu",
            "port": port.path,
            "baudrate": port.baud,
            "parity": "N",
            "stopbits": 1,
            "bytesize": 8,
        }
        if port.path
        else {"type": "tcp", "method": "socket", "host": "127.0.0.1", "port": port.tcp_port}
    )
    return {
        **where, "unitId": device.unit, "deviceName": device.name, "pollPeriod": round(site.period_s * 1000),
        "timeout": site.timeout_s, "retries": 0, "byteOrder": "BIG", "wordOrder": "BIG",
        "connectAttemptTimeMs": 500, "connectAttemptCount": 2, "waitAfterFailedAttemptsMs": 30000,
        "timeseries": [
            {"tag": f"b{number}r${{address}}", "type": "16uint", "functionCode": 3, "objectsCount": 1,
             "address": f"{first}-{first + count - 1}", "maxRegistersPerRequest": count}
            for number, (first, count) in enumerate(device.blocks)
        ],
    }  # fmt: skip


def values(topic: str, payload: bytes) -> Iterator[Value]:
    if topic != "v1/gateway/telemetry":
        return
    for device, records in json.loads(payload).items():
        for record in records:
            for name, value in record["values"].items():
                yield device, int(name.partition("r")[2]), value


def answer(topic: str, payload: bytes) -> Iterator[tuple[str, bytes]]:
    if topic.startswith(ASKED) and json.loads(payload).get("method") == "getSessionLimits":
        limits = {"maxPayloadSize": 65536, "maxInflightMessages": 1000, "rateLimits": {}, "gatewayRateLimits": {}}
        yield ANSWERED + topic.removeprefix(ASKED), json.dumps(limits).encode()


PRODUCT = Product("thingsboard-gateway", "TLS 1.2, mutual, QoS 1", install, configure, values, answer)
