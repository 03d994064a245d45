"""modpoll (PyPI): one Modbus server or line a process, devices one after the other, then one message a device.

Its connection is closed after each round. It cannot be told how often pymodbus repeats a request (3 times), nor show a
certificate of its own; its source fixes TLS 1.2. Its round begins at the first look, each 10 ms, after the period is over:
a little fewer than 2,000 values a second. Below the level ERROR it writes a warning of pymodbus for each value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.peers import environment
from bench.peers.plan import Command, Device, Place, Product, Site, Value

VERSION = "1.6.0"


def install(folder: Path) -> str:
    environment.pip(folder / "modpoll", [f"modpoll=={VERSION}", "pymodbus==3.9.2", "pyserial==3.5"])
    return VERSION


def configure(site: Site, place: Place) -> Command:
    (port,) = {device.port for device in site.devices}
    rows = [row for device in site.devices for row in _rows(device)]
    (place.folder / "modpoll.csv").write_text("\n".join(rows) + "\n")
    where = (
        ["--serial", port.path, "--serial-baud", port.baud]
        if port.path
        else ["--tcp", "127.0.0.1", "--tcp-port", port.tcp_port]
    )
    options = [
        "--daemon", "--config", "modpoll.csv", "--rate", site.period_s, "--interval", 0, "--timeout", site.timeout_s, *where,
        "--mqtt-host", "localhost", "--mqtt-port", place.server_port, "--mqtt-qos", 1, "--mqtt-version", "5.0",
        "--mqtt-clientid", "modpoll", "--mqtt-use-tls", "--mqtt-cacerts", place.folder / "pki/ca.pem", "--loglevel", "ERROR",
    ]  # fmt: skip
    return Command((str(place.installed / "modpoll/bin/modpoll"), *map(str, options)))


def _rows(device: Device) -> Iterator[str]:
    yield f"device,{device.name},{device.unit}"
    for first, count in device.blocks:
        yield f"poll,holding_register,{first},{count},BE_BE"
        yield from (f"ref,r{register},{register},uint16,r" for register in range(first, first + count))


def values(topic: str, payload: bytes) -> Iterator[Value]:
    if topic.startswith("modpoll/") and topic.endswith("/data"):
        device = topic.split("/")[1]
        for name, value in json.loads(payload).items():
            if value is not None:
                yield device, int(name[1:]), value


PRODUCT = Product(
    "modpoll", "TLS 1.2, server only, QoS 1", install, configure, values, servers=1,
    cannot={"dead": "one server a process"},
)  # fmt: skip
