"""`gengfu doctor` against real sockets, files and certificates."""

import contextlib
import json
import os
import pty
import shutil
import socket
import ssl
import threading
import time

import pytest

from gateway import config, pki
from gateway.doctor import Verdict, examine
from tests.clocks import HandClock
from tests.gateway.test_commands import gengfu

SITE = """
gateway: {{id: demo-01, control_socket: run/c.sock}}
journal: {{directory: j, alarm_quota_mib: 1, telemetry_quota_mib: 1}}
buses:
  - {{id: line-1, kind: serial, port: {port}}}
  - {{id: box, kind: tcp, host: 127.0.0.1, tcp_port: {tcp}}}
  - {{id: calls, kind: listen, host: 127.0.0.1, tcp_port: 0, longest_silence_s: 60}}
devices: []
uplinks:
  - {{id: district, host: localhost, port: {broker}, ca: pki/ca.pem, certificate: pki/gateway.pem, key: pki/gateway.key}}
"""


@pytest.fixture
def world(tmp_path):
    """A TLS server that wants our certificate, a TCP server, a serial port; all real, all on loopback."""
    pki.init(tmp_path / "pki")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pki/broker.pem", tmp_path / "pki/broker.key")
    context.load_verify_locations(tmp_path / "pki/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    broker = socket.create_server(("127.0.0.1", 0))
    box = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                plain, _ = broker.accept()
                with context.wrap_socket(plain, server_side=True) as wrapped:
                    wrapped.recv(1)
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    line, far = pty.openpty()
    (tmp_path / "j").mkdir()
    path = tmp_path / "site.yaml"
    path.write_text(
        SITE.format(port=os.ttyname(far), tcp=box.getsockname()[1], broker=broker.getsockname()[1]), encoding="utf-8"
    )
    yield path, box, broker
    for one in (box, broker):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
    os.close(line)
    os.close(far)


def nobody(request):
    return None


def told(path, clock=None, ask=nobody):
    return {one.what: one for one in examine(config.load(path), clock or now(), ask)}


def now(**options):
    return HandClock(wall=time.time(), **options)


def test_where_all_is_well_nothing_fails(world):
    findings = told(world[0])
    assert {one.what: one.verdict for one in findings.values() if one.verdict is not Verdict.PASS} == {
        "gateway": Verdict.WARN,  # it does not run
        "uplink district district": Verdict.WARN,
    }
    assert findings["bus line-1"].verdict is Verdict.PASS
    assert "TLSv1.3" in findings["uplink district broker"].en
    assert all(one.zh and one.en for one in findings.values())


@pytest.mark.parametrize(
    ("wall", "trusted", "verdict"), [(86400.0, False, "fail"), (None, False, "warn"), (None, True, "pass")]
)
def test_the_clock(world, wall, trusted, verdict):
    clock = HandClock(wall=wall, trusted=trusted) if wall else now(trusted=trusted)
    assert told(world[0], clock)["clock"].verdict == verdict


def test_a_box_that_does_not_answer_fails(world):
    world[1].close()
    assert told(world[0])["bus box"].verdict is Verdict.FAIL


def test_a_broker_of_another_authority_fails(world, tmp_path):
    shutil.rmtree(tmp_path / "pki")
    pki.init(tmp_path / "pki")
    finding = told(world[0])["uplink district broker"]
    assert (finding.verdict, "certificate" in finding.en) == (Verdict.FAIL, True)


def test_a_key_that_others_can_read_fails(world, tmp_path):
    (tmp_path / "pki/gateway.key").chmod(0o644)
    finding = told(world[0])["uplink district key"]
    assert finding.verdict is Verdict.FAIL
    assert "chmod 600" in finding.zh


@pytest.mark.parametrize(
    ("days", "verdict"), [(-30, "fail"), (300, "pass"), (345, "warn"), (362, "fail"), (400, "fail")]
)
def test_the_life_of_a_certificate(world, days, verdict):
    """Not yet valid, well, ending within 30 days, within 7, over; the test authority gives 366 days."""
    clock = now()
    clock.offset += days * 86400
    assert told(world[0], clock)["uplink district certificate"].verdict == verdict


def test_a_missing_port_and_a_journal_that_cannot_be_written_are_told(world, tmp_path):
    path = world[0]
    path.write_text(
        path.read_text().replace("/dev/pts/", "/dev/no-such-").replace("directory: j", "directory: site.yaml")
    )
    findings = told(path)
    assert findings["bus line-1"].verdict is Verdict.FAIL
    assert findings["disk sync"].verdict is Verdict.FAIL


RUNNING = {
    "faults": {}, "uptime_s": 5.0, "devices": [{"id": "a", "why": ""}, {"id": "b", "why": "line"}],
    "parts": {
        "bus line-1": {"bus": {"up": True}}, "bus box": {"bus": {"up": False, "why": "refused"}}, "bus calls": {"up": True},
        "uplink district": {"refused": False, "connected": True, "error": "", "alarm_backlog": 0},
    },
}  # fmt: skip


def test_a_running_gateway_is_asked_and_not_disturbed(world):
    """Its ports are in use: to open them would take its bytes."""
    findings = told(world[0], ask=lambda request: RUNNING)
    assert findings["gateway"].verdict is Verdict.PASS
    assert (findings["devices"].verdict, "b" in findings["devices"].en) == (Verdict.FAIL, True)
    assert findings["bus line-1"].verdict is Verdict.PASS
    assert findings["bus box"].verdict is Verdict.FAIL
    assert findings["uplink district district"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "verdict"), [({"refused": True}, "fail"), ({"connected": False}, "fail"), ({"alarm_backlog": 3}, "warn")]
)
def test_the_district(world, change, verdict):
    part = {**RUNNING["parts"]["uplink district"], **change}
    status = {**RUNNING, "parts": {**RUNNING["parts"], "uplink district": part}}
    assert told(world[0], ask=lambda request: status)["uplink district district"].verdict == verdict


def test_the_command_gives_a_table_and_its_status(world):
    """0 when nothing fails, 1 when something does, 78 for a site file that cannot be used."""
    path = world[0]
    well = gengfu("doctor", path)
    assert (well.returncode, "只有网关可读" in well.stdout) == (0, True), well.stdout + well.stderr
    (path.parent / "pki/gateway.key").chmod(0o644)
    ill = gengfu("doctor", path, "--json")
    answer = json.loads(ill.stdout)
    assert (ill.returncode, answer["ok"]) == (1, False)
    assert {"what", "verdict", "zh", "en"} == set(answer["findings"][0])
    path.write_text("nonsense", encoding="utf-8")
    assert gengfu("doctor", path).returncode == 78
