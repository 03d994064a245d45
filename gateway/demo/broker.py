"""The demo's broker, as a process of its own: mosquitto where it is installed, else the embedded `iotcore`.

Guarantees (both variants)
* Bound to 127.0.0.1, TLS 1.3 only, and a client without a certificate of the demo's authority gets nowhere.
* MQTT 5 with user properties, QoS 1, the district's persistent session, retained status and retained will.

mosquitto also has persistence on disk, and an access list: a gateway publishes its own topics and reads its own
receipts, the district the reverse. The certificate's common name is the user *and* the client id, so that nobody takes
over another one's session, and a gateway that comes back replaces its own half-open connection, whose will is then
published before the new birth and never after it.

The embedded one, behind a TLS front of our own because iotcore checks no client certificates, does not have: an access
list (every holder of a certificate may do everything), a disk (a restart forgets sessions, queues and retained
messages), the client's Receive Maximum (it keeps to its own 100 in flight). Its inner plain port on 127.0.0.1 is open
to every process of this machine. Good for a demo, for nothing else.

``python -m gateway.demo.broker --directory DIR --pki DIR --port N`` runs the embedded one in the foreground.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from gateway.errors import ConfigError, Mistake

HOST = "127.0.0.1"
START_S = 15.0
STOP_S = 5.0
PORT_TRIES = 5
LARGEST_PACKET_BYTES = 256 * 1024
_UP = ("alarm", "telemetry", "status")


class Variant(StrEnum):
    MOSQUITTO = "mosquitto"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker. To cut it off hard: ``process.kill()``; to bring it back: `start` with the same `port`."""

    variant: Variant
    port: int
    process: asyncio.subprocess.Process
    log: Path

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; bounded. Does nothing when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), STOP_S)
            except TimeoutError:
                self.process.kill()
        await self.process.wait()


def installed() -> Variant | None:
    """The better of what is here; the environment variable GENGFU_BROKER allows one of them only."""
    here = {Variant.MOSQUITTO: bool(mosquitto_path()), Variant.EMBEDDED: find_spec("iotcore") is not None}
    wanted = os.environ.get("GENGFU_BROKER")
    return next((variant for variant in Variant if here[variant] and wanted in (None, "", variant.value)), None)


def mosquitto_path() -> str | None:
    """Debian puts it where the PATH of an ordinary user does not look."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


async def start(
    directory: Path,
    pki: Path,
    variant: Variant | None = None,
    port: int = 0,
    gateways: Sequence[str] = ("demo-01",),
    observers: Sequence[str] = (),
) -> Broker:
    """Start it and wait until it answers a TLS handshake with our authority's certificate.

    `directory` holds its configuration, log and persistence; `port` 0 takes a free one; `observers` may read
    everything (mosquitto). Raises `ConfigError` when there is no broker to start, or it does not come up.
    """
    variant = variant or installed()
    if variant is None:
        raise ConfigError(
            [
                _mistake(
                    directory, "no broker (mosquitto or iotcore) is installed", "未安装消息服务器 mosquitto 或 iotcore"
                )
            ]
        )
    log = await asyncio.to_thread(_prepare, directory)
    # mosquitto cannot take port 0, and a free port may be gone a moment later: hence the tries.
    for _ in range(PORT_TRIES if port == 0 else 1):
        number = port or free_port()
        command = _command(variant, directory, pki, number, gateways, observers)
        with log.open("ab") as output:
            # A session of its own: Ctrl-C at the demo is the demo's to handle, in order.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        broker = Broker(variant, number, process, log)
        try:
            if await _answers(process, pki / "ca.pem", number):
                return broker
        except asyncio.CancelledError:
            await broker.stop()
            raise
        await broker.stop()
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise ConfigError([_mistake(log, f"the broker did not start: {tail}", f"消息服务器未能启动：{tail}")])


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def mosquitto_config(directory: Path, pki: Path, port: int) -> str:
    """The whole configuration file."""
    lines = [
        "# Generated for the demo; not for production. 为演示自动生成，不得用于生产环境。",
        "per_listener_settings false",
        "allow_anonymous false",
        f"acl_file {directory / 'acl'}",
        f"listener {port} {HOST}",
        f"cafile {pki / 'ca.pem'}",
        f"certfile {pki / 'broker.pem'}",
        f"keyfile {pki / 'broker.key'}",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "set_tcp_nodelay true",  # else a small message waits ~40 ms for the other side's delayed acknowledgement
        "persistence true",
        f"persistence_location {directory}/",
        "autosave_interval 10",
        # What waits for a district that is away; receipts cover what goes beyond it.
        "max_queued_messages 100000",
        "max_queued_bytes 67108864",
        f"message_size_limit {LARGEST_PACKET_BYTES}",
        f"max_packet_size {LARGEST_PACKET_BYTES}",
        "log_dest stderr",
        "log_timestamp true",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
    ]
    if os.geteuid() == 0:
        # Else it would change to a user that cannot enter our 0700 directories.
        lines.append("user root")
    return "\n".join([*lines, ""])


def access_list(gateways: Sequence[str], observers: Sequence[str] = ()) -> str:
    """Who may say and hear what, by the certificate's common name."""
    blocks = [
        ["user district", *(f"topic read gengfu/v1/+/{leaf}" for leaf in _UP), "topic write gengfu/v1/+/receipt"],
        *(
            [
                f"user {name}",
                *(f"topic write gengfu/v1/{name}/{leaf}" for leaf in _UP),
                f"topic read gengfu/v1/{name}/receipt",
            ]
            for name in gateways
        ),
        *([f"user {name}", "topic read gengfu/#"] for name in observers),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _prepare(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / "broker.log"


def _command(
    variant: Variant, directory: Path, pki: Path, port: int, gateways: Sequence[str], observers: Sequence[str]
) -> list[str]:
    directory, pki = directory.resolve(), pki.resolve()
    if variant is Variant.EMBEDDED:
        where = ["--directory", str(directory), "--pki", str(pki), "--port", str(port)]
        return [sys.executable, "-m", "gateway.demo.broker", *where]
    config, acl = directory / "mosquitto.conf", directory / "acl"
    for path, content in (
        (config, mosquitto_config(directory, pki, port)),
        (acl, access_list(gateways, observers)),
    ):
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")
    return [mosquitto_path() or "mosquitto", "-c", str(config)]


async def _answers(process: asyncio.subprocess.Process, authority: Path, port: int) -> bool:
    """Whether it is up before `START_S` has passed; only our own broker has a certificate of our authority."""
    context = ssl.create_default_context(cafile=authority)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    while process.returncode is None and loop.time() < deadline:
        try:
            _, writer = await asyncio.open_connection(
                HOST, port, ssl=context, server_hostname="localhost", ssl_handshake_timeout=START_S
            )
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.transport.abort()
        return True
    return False


def _mistake(path: Path, en: str, zh: str) -> Mistake:
    return Mistake(str(path), 1, "", en, zh)


# --- the embedded variant ---------------------------------------------------------------------------------------------


def rumqttd_config(port: int) -> str:
    """The inner broker: MQTT 5, plain, on this machine only (iotcore's own default would be 0.0.0.0)."""
    return f"""\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 16777216
max_segment_count = 10
[v5.1]
name = "demo"
listen = "{HOST}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {LARGEST_PACKET_BYTES}
max_inflight_count = 100
dynamic_filters = true
"""


async def run_embedded(directory: Path, pki: Path, port: int) -> None:
    """The embedded broker and its TLS front, until SIGTERM or SIGINT."""
    import iotcore  # in the optional `demo` dependencies

    inner_port = free_port()
    config = directory / "rumqttd.toml"
    config.write_text(rumqttd_config(inner_port), encoding="utf-8")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    inner = iotcore.Broker(config_path=str(config))
    await asyncio.to_thread(inner.start)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, inner_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    try:
        context = front_context(pki)
        async with await asyncio.start_server(relay, HOST, port, ssl=context, ssl_handshake_timeout=10.0):
            await stop.wait()
    finally:
        await asyncio.to_thread(inner.stop)


def front_context(pki: Path) -> ssl.SSLContext:
    """TLS 1.3, and nobody without a certificate of our authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / "ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pki / "broker.pem", pki / "broker.key")
    return context


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """One direction; its end closes the other side, which ends the other direction."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass  # either side is gone: the same as its end
    finally:
        sink.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.broker", description="The demo's embedded broker.")
    parser.add_argument("--directory", type=Path, required=True, help="where its generated configuration goes")
    parser.add_argument("--pki", type=Path, required=True, help="ca.pem, broker.pem, broker.key")
    parser.add_argument("--port", type=int, required=True, help="port of the TLS front on 127.0.0.1")
    options = parser.parse_args(arguments)
    asyncio.run(run_embedded(options.directory, options.pki, options.port))


if __name__ == "__main__":
    main()
