"""Prometheus metrics on loopback: what `gengfu status` knows, as numbers, for the district's monitoring.

Guarantees
* Off until the site has `metrics:`.
* A request is at most 8 KiB and 5 s, at most 8 are open at a time; anything but ``GET /metrics`` is refused.

What is told is `gateway.families`'. It holds no state: each scrape is a picture of `gateway.views.Views.status`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from gateway.families import TABLE, Status
from gateway.model import MetricsSpec
from gateway.restart import Guard

REQUEST_BYTES = 8 * 1024
REQUEST_S = 5.0
CONNECTIONS = 8
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(status: Status) -> bytes:
    """The text that Prometheus reads."""
    # Imported here: 2.5 MiB that only a site with `metrics:` pays for.
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.core import Metric as Family
    from prometheus_client.registry import Collector

    class Picture(Collector):
        def collect(self) -> Iterator[Family]:
            for one in TABLE:
                text = f"{one.text.en} {one.text.zh}"
                family: CounterMetricFamily | GaugeMetricFamily
                if one.kind == "counter":
                    family = CounterMetricFamily(f"gengfu_{one.name}", text, labels=one.labels)
                else:
                    family = GaugeMetricFamily(f"gengfu_{one.name}", text, labels=one.labels)
                for labels, value in one.rows(status):
                    family.add_metric(labels, value)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Picture())
    return generate_latest(registry)


class Metrics:
    """Serves ``GET /metrics``."""

    def __init__(self, spec: MetricsSpec, status: Callable[[], Status], guard: Guard) -> None:
        self._spec = spec
        self._status = status
        self._guard = guard
        self._open = 0
        self.port = 0
        """The one that is listened on, once it is."""

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, self._spec.host, self._spec.tcp_port, limit=REQUEST_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS:
            writer.close()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer(head))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # gone, silent or endless: the connection ends, nothing else does
        finally:
            self._open -= 1
            writer.close()

    def answer(self, head: bytes) -> bytes:
        """The whole response to a request's head."""
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path != b"/metrics":
            return _response("404 Not Found", b"try /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"GET only\n")
        body = self._guard.call("metrics", lambda: exposition(self._status()))
        if body is None:
            return _response("500 Internal Server Error", b"a bug, logged\n")
        return _response("200 OK", body, bare=method == b"HEAD")


def _response(status: str, body: bytes, *, bare: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if bare else body)


def reference() -> str:
    """docs/metrics.md."""
    rows = [
        f"| `gengfu_{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.text.en} | {one.text.zh} |"
        for one in TABLE
    ]
    return "\n".join([_HEAD, "| metric | kind | labels | meaning | 含义 |", "|---|---|---|---|---|", *rows, ""])


_HEAD = """\
# Metrics 指标

Generated from the code by `make reference`; do not edit. 本文件由程序生成，请勿手工修改。

Off until the site file has `metrics: {tcp_port: 9464}`; then Prometheus reads `http://127.0.0.1:9464/metrics`. It listens on loopback unless another
`host` is given; there is no password and no TLS, so leave it there and let an agent on the box fetch it.
默认关闭；在站点文件中加 `metrics: {tcp_port: 9464}` 后由 Prometheus 读取。默认只在本机监听，无密码、无加密，请勿对外开放。

Example alerts: [examples/prometheus/alerts.yml](../examples/prometheus/alerts.yml). 报警规则示例见上。
`why` is one word: `sensor`, `line`, `configuration`, `gateway`, `not_yet`. 原因：设备、线路、配置、网关、尚未应答。
"""
