"""Metrics: what Prometheus reads is what status says; a stranger can neither make series nor hold the daemon."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway import config, metrics
from gateway.families import TABLE
from gateway.field.bus import Bus
from gateway.metrics import CONNECTIONS, Metrics, exposition
from gateway.model import Lane, MetricsSpec
from gateway.parts import Parts, Seams
from gateway.restart import Guard
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from tests.clocks import HandClock
from tests.waiting import until

ROOT = Path(__file__).parents[2]
STATUS = {
    "gateway": "demo-01",
    "uptime_s": 8.5,
    "clock": "untrusted",
    "scans": 31,
    "devices": [
        {"id": "gateway", "bus": "", "quality": "good", "why": ""},
        {"id": "lift", "bus": "box", "quality": "line_down", "why": "line"},
    ],
    "alarms": [
        {"class": "fault", "severity": "high", "state": "unacknowledged"},
        {"class": "fault", "severity": "high", "state": "unacknowledged"},
        {"class": "fire", "severity": "critical", "state": "acknowledged"},
    ],
    "parts": {
        "bus box": {
            "busy": 0.25,
            "bus": {"up": False, "requests": 7, "replies": 5, "timeouts": 2, "why": "cable", "modes": []},
            "devices": {"lift": [{"group": "safety", "polls": 17, "failures": 3, "period_s": 1.0}]},
        },
        "bus calls": {"up": True, "connections": 0, "devices": {}, "strangers": {"203.0.113.9": 4}},
        "journal alarm": {"committed": 3, "transactions": 7, "dropped": {"quota": 2}, "used_bytes": 12288},
        "uplink district": {"connected": True, "refused": False, "unsettled": 4, "counters": {"link_failed": 16}},
        "points": {"judged": {"tilt/x": {"jumping": 2}}, "double_addresses": []},
    },
    "faults": {"rule fire-1": "ValueError"},
}


def series(body):
    """``name{labels}`` -> value, as a reader that is not ours sees it."""
    found = {}
    for line in body.decode().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_the_numbers_are_those_of_status():
    found = series(exposition(STATUS))
    assert found["gengfu_scans_total"] == 31
    assert found['gengfu_bus_up{bus="box"}'] == 0
    assert found['gengfu_bus_up{bus="calls"}'] == 1
    assert found['gengfu_bus_requests_total{bus="box"}'] == 7
    assert found['gengfu_poll_failures_total{bus="box",device="lift",group="safety"}'] == 3
    assert found['gengfu_device_up{bus="box",device="lift"}'] == 0
    assert found['gengfu_device_no_data{bus="box",device="lift",why="line"}'] == 1
    assert found['gengfu_alarms{class="fault",severity="high",state="unacknowledged"}'] == 2
    assert found['gengfu_lane_dropped_total{lane="alarm",reason="quota"}'] == 2
    assert found['gengfu_uplink_events_total{event="link_failed",uplink="district"}'] == 16
    assert found['gengfu_values_doubted_total{point="tilt/x",reason="jumping"}'] == 2
    assert found["gengfu_parts_failing"] == 1


def test_what_came_over_a_wire_is_no_label():
    """Texts of errors and addresses of strangers stay out: whoever calls could make series for ever."""
    body = exposition(STATUS).decode()
    assert "203.0.113.9" not in body
    assert "cable" not in body
    assert "ValueError" not in body


def test_every_metric_is_declared_once_and_named_as_prometheus_wants():
    names = [one.name for one in TABLE]
    assert len(names) == len(set(names))
    for one in TABLE:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", one.name)
        assert (one.kind == "counter") == one.name.endswith("_total")
        assert one.text.zh
        assert one.text.en


def test_the_page_in_docs_is_the_one_of_the_code():
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics.reference()


def test_the_example_alerts_use_metrics_that_exist():
    told = yaml.safe_load((ROOT / "examples" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    rules = [rule for group in told["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"gengfu_[a-z_]+", rule["expr"])}
    assert used <= {f"gengfu_{one.name}" for one in TABLE}
    assert len(rules) >= 8


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_wrong():
    """An independent judge of the text and of the example alerts."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition(STATUS), capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    rules = subprocess.run(
        ["promtool", "check", "rules", ROOT / "examples" / "prometheus" / "alerts.yml"], capture_output=True, timeout=30
    )
    assert rules.returncode == 0, rules.stdout + rules.stderr


@pytest.fixture
async def served():
    guard = Guard()
    box = {"status": STATUS}
    one = Metrics(MetricsSpec("127.0.0.1", 0), lambda: box["status"], guard)
    task = asyncio.create_task(one.run())
    await until(lambda: one.port)
    yield one.port, box, guard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def fetch(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_a_scrape_over_http(served):
    answer = await fetch(served[0], b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body)}".encode() in head
    assert series(body)["gengfu_scans_total"] == 31


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\xff\xfe \r\n\r\n", b"404"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"200"),
    ],
)
async def test_other_requests_are_refused(served, request_, status):
    answer = await fetch(served[0], request_)
    assert answer.split(b" ")[1] == status


async def test_an_endless_request_ends_the_connection_only(served):
    port = served[0]
    assert await fetch(port, b"GET /" + b"a" * 20_000) == b""
    assert (await fetch(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_more_connections_than_allowed_are_closed_at_once(served):
    port = served[0]
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    await until(lambda: len(held) == CONNECTIONS)
    assert await fetch(port, b"") == b""
    for _, writer in held:
        writer.close()


async def test_a_bug_in_a_picture_is_guarded(served):
    """A scrape that fails is the scrape's matter, and is noted."""
    port, box, guard = served
    box["status"] = {}
    answer = await fetch(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")
    assert "metrics" in guard.faults


def test_nothing_is_served_unless_the_site_says_so(tmp_path):
    text = (ROOT / "examples" / "demo" / "site.yaml").read_text(encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    assert config.load(path).metrics is None
    path.write_text(text + "\nmetrics: {tcp_port: 9464}\n", encoding="utf-8")
    assert config.load(path).metrics == MetricsSpec("127.0.0.1", 9464)


SELDOM = {
    "device_no_data", "values_doubted_total", "alarms", "lane_dropped_total", "uplink_rejected_records",
    "uplink_events_total", "output_on", "output_failing", "output_writes_total", "output_failures_total",
}  # fmt: skip
"""Families that are empty while all is well."""


async def test_the_status_of_a_real_gateway_fills_every_family(tmp_path):
    """The table's keys are those that the parts really give."""
    path = tmp_path / "site.yaml"
    path.write_text((ROOT / "examples" / "demo" / "site.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    clock = HandClock()
    lanes = [
        Journal(lane, tmp_path / f"{lane.value}.db", "g", clock, InlineWorker(), 1 << 26, lambda n: "ab" * n)
        for lane in Lane
    ]
    opened = [await lane.open() for lane in lanes]
    seams = Seams(clock, lambda name: InlineWorker(), Bus, None, lambda: 0.5, lambda n: "ab" * n)
    parts = Parts(config.load(path), seams, *lanes, opened[0])
    status = parts.views().status()
    empty = {one.name for one in TABLE if not list(one.rows(status))}
    assert empty <= SELDOM
    assert len(series(exposition(status))) > 40
    for lane in lanes:
        await lane.close()
