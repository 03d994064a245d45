"""What the command line can mean, before any port is opened."""

import os

import pytest

from hil_tests.setting import Mode, Setting, no_wire


def said(**options):
    return [mistake.en for mistake in Setting(**options).mistakes()]


@pytest.fixture
def ports():
    """Two serial devices."""
    ends = [os.openpty() for _ in range(2)]
    yield [os.ttyname(slave) for _, slave in ends]
    for end in ends:
        for descriptor in end:
            os.close(descriptor)


def test_the_mode_follows_from_what_is_given(ports):
    """Nothing: a pty; a peer: two ports; a template: one device."""
    port, peer = ports
    for options, mode in (
        ({}, Mode.PTY),
        ({"port": port, "peer": peer}, Mode.CROSSED),
        ({"port": port, "template": "generic_smoke_loop", "address": "0"}, Mode.DEVICE),
    ):
        assert said(**options) == []
        assert Setting(**options).mode is mode


def test_every_mistake_is_said_at_once(ports):
    """Each combination that cannot be meant; several in one answer."""
    port, peer = ports
    assert said(port=port) == ["--port goes with --peer or with --template"]
    assert said(port=port, peer=peer, template="generic_smoke_loop", address="1") == [
        "--port goes with --peer or with --template"
    ]
    assert said(peer=peer, template="generic_smoke_loop") == [
        "--port is missing",
        "--template and --address go together",
    ]
    assert said(port=port, template="none.yaml", address="1") == ["there is no template none.yaml"]
    assert said(port=port, peer=port) == ["--port and --peer are the same device"]
    assert said(port="/dev/null/none", peer=peer) == ["/dev/null/none is no serial device"]
    assert said(port=port, template="none", address="1") == ["there is no template none"]
    assert said(baud=12345) == ["there is no speed of 12345 bit/s"]
    assert said(reply_timeout_s=0.0) == said(reply_timeout_s=60.0) == ["--timeout must be 0.02 to 10 s"]


def test_parity_is_refused_where_there_is_none():
    """A pty takes the setting and does not do it (glibc says EINVAL at the second try): nothing is pretended."""
    assert said(parity="E") == ["a pty has no parity: --parity needs real ports"]
    assert said(parity="E", simulated=False) == []


def test_a_pty_that_is_named_as_a_port_is_still_a_pty(ports, tmp_path):
    """Also behind a link, and when only the peer is one."""
    link = tmp_path / "ttyUSB0"
    link.symlink_to(ports[0])
    assert no_wire("", "")
    assert no_wire(str(link), "")
    assert no_wire("/dev/null", ports[1])
    assert not no_wire("/dev/null", "")
