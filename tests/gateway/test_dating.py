"""Time: the floor, the mapping of a boot to wall time, jumps; and certificates at 1970."""

import json
import math
import ssl
import time

import pytest

from gateway.clock import RELEASED_S, SystemClock
from gateway.dating import FLOOR, Dating, floor
from gateway.wire import payloads
from tests.clocks import HandClock
from tests.serving import shut


class Book:
    """What was recorded and kept."""

    def __init__(self, clock):
        self.records, self.kept = [], {}
        self.dating = Dating(clock, lambda kind, body: self.records.append((kind, json.loads(body))), self.kept.update)

    def kinds(self):
        return [kind for kind, _ in self.records]


def test_a_clock_that_becomes_trusted_dates_the_boot_once():
    clock = HandClock(at=100.0, wall=0.0, trusted=False)
    book = Book(clock)
    book.dating.look()
    assert book.records == []
    clock.advance(30)
    clock.offset, clock.is_trusted = 1_795_400_000.0, True
    for _ in range(5):
        book.dating.look()
        clock.advance(1)
    mappings = [body for kind, body in book.records if kind == payloads.CLOCK]
    assert mappings == [{"boot": clock.boot, "monotonic": 130.0, "wall": 1_795_400_130.0}]


@pytest.mark.parametrize("jump", [3 * 86400.0, -365 * 86400.0, 310.0])
def test_a_jump_is_an_event_and_dates_anew(jump):
    clock = HandClock()
    book = Book(clock)
    book.dating.look()
    clock.offset += jump
    clock.advance(1)
    book.dating.look()
    assert book.kinds() == [payloads.CLOCK, payloads.CLOCK_JUMP, payloads.CLOCK]
    told = book.records[1][1]
    assert told["after"] - told["before"] == pytest.approx(jump)


def test_a_small_step_of_a_trusted_clock_dates_anew_and_is_no_jump():
    clock = HandClock()
    book = Book(clock)
    book.dating.look()
    clock.offset += 2.0
    book.dating.look()
    assert book.kinds() == [payloads.CLOCK, payloads.CLOCK]


def test_a_clock_that_lost_its_trust_dates_again_once_it_is_back():
    """What was recorded meanwhile is not trusted, whatever the clock said: only a later mapping dates it."""
    clock = HandClock()
    book = Book(clock)
    for trusted in (True, True, False, False, True, True):
        clock.is_trusted = trusted
        book.dating.look()
        clock.advance(1)
    assert [body["monotonic"] for _, body in book.records] == [1000.0, 1004.0]


def test_a_clock_that_was_put_right_takes_the_wrong_floor_with_it():
    """An NTP server said 2036 for a minute: a power cut in the hour after must not bring that back at the next boot."""
    clock = HandClock(wall=2_090_000_000.0)
    book = Book(clock)
    book.dating.look()
    clock.offset -= 290_000_000.0
    clock.advance(60)
    book.dating.look()
    assert floor(book.kept) == clock.wall() == 1_800_000_060.0


@pytest.mark.parametrize("jumps_s", [0.0, 86400.0])
def test_a_clock_that_comes_and_goes_each_second_fills_no_lane(jumps_s):
    """Whatever makes it flap, a day of it is no day of records; once it is steady it is dated again."""
    clock = HandClock()
    book = Book(clock)
    for turn in range(7200):
        clock.is_trusted = turn % 2 == 0
        clock.offset += jumps_s if turn % 2 else -jumps_s
        book.dating.look()
        clock.advance(1)
    assert 12 <= len(book.records) <= 10 * (1 + 7200 / 600) + 1
    clock.is_trusted = True
    for _ in range(601):
        book.dating.look()
        clock.advance(1)
    last = [body for kind, body in book.records if kind == payloads.CLOCK][-1]
    assert last["wall"] - last["monotonic"] == pytest.approx(clock.wall() - clock.monotonic())
    assert last["monotonic"] > 1000.0 + 7200.0 - 2.0


def test_the_floor_is_kept_hourly_and_only_from_a_trusted_clock():
    clock = HandClock(wall=1_795_400_000.0, trusted=False)
    book = Book(clock)
    book.dating.look()
    assert book.kept == {}
    clock.is_trusted = True
    book.dating.look()
    first = floor(book.kept)
    assert first == clock.wall()
    clock.advance(1800)
    book.dating.look()
    assert floor(book.kept) == first
    clock.advance(1801)
    book.dating.look()
    assert floor(book.kept) == first + 3601


@pytest.mark.parametrize("saved", [{}, {FLOOR: b""}, {FLOOR: b"nan"}, {FLOOR: b"inf"}, {FLOOR: b"\xff"}])
def test_a_floor_that_cannot_be_read_is_none(saved):
    assert floor(saved) == -math.inf


def machine(monkeypatch, wall, trusted=False):
    """A SystemClock on a machine whose own clock says `wall`."""
    monkeypatch.setattr(time, "time", lambda: wall)
    clock = SystemClock()
    monkeypatch.setattr(clock, "trusted", lambda: trusted)
    return clock


def test_at_1970_the_clock_says_the_floor_and_the_time_since(monkeypatch):
    clock = machine(monkeypatch, 60.0)
    assert clock.wall() == pytest.approx(RELEASED_S, abs=5)
    clock.hold(1_800_000_000.0)
    assert clock.wall() == pytest.approx(1_800_000_000.0, abs=5)
    assert clock.behind()
    assert not clock.trusted()


def test_a_clock_that_runs_is_believed(monkeypatch):
    clock = machine(monkeypatch, 1_900_000_000.0)
    clock.hold(1_800_000_000.0)
    assert clock.wall() == 1_900_000_000.0
    assert not clock.behind()


def test_a_trusted_clock_is_believed_also_when_the_floor_was_wrong(monkeypatch):
    """Somebody's NTP server said 2036 once: that must not stay for ever."""
    clock = machine(monkeypatch, 1_800_000_000.0, trusted=True)
    clock.hold(2_090_000_000.0)
    assert clock.wall() == 1_800_000_000.0
    assert not clock.behind()


class At1970(HandClock):
    """Nobody has set the machine's clock; the floor is what a test says."""

    def behind(self):
        return True


async def test_tls_at_1970_judges_dates_by_the_floor(tmp_path):
    """R20: the broker is reached without NTP; what was over by the floor, or not yet begun, is still refused.

    OpenSSL goes by the machine's clock, which no test may set: a certificate that is over by that clock, and valid by the
    floor, stands for one that is not valid yet at 1970."""
    import asyncio

    from gateway.errors import LinkError
    from gateway.link import tls
    from gateway.model import UplinkSpec
    from tests import certificates

    pki = certificates.Directory(tmp_path / "pki")
    pki.server("broker")
    pki.server("old", expired=True)
    pki.client("gateway")
    spec = UplinkSpec(
        "d",
        "localhost",
        1,
        pki.file("ca.pem"),
        pki.file("gateway.pem"),
        pki.file("gateway.key"),
        server_name="localhost",
    )

    async def handshake(name, clock):
        context = pki.server_context(name)
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]

        def dial():
            import socket

            made = tls.trust(spec, clock)
            with socket.create_connection(("127.0.0.1", port), 5) as plain, made.wrap(plain) as wrapped:
                return wrapped.version()

        try:
            return await asyncio.to_thread(dial)
        finally:
            await shut(server)

    now = time.time()
    year = 366 * 86400
    assert await handshake("broker", HandClock(wall=now)) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await handshake("old", HandClock(wall=now))
    # By the floor's judgement: the one that was valid then is taken, the other is not.
    assert await handshake("broker", At1970(wall=now)) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid"):
        await handshake("old", At1970(wall=now))
    with pytest.raises((ssl.SSLCertVerificationError, LinkError), match="not valid"):
        await handshake("broker", At1970(wall=now + 20 * year))
    # A certificate that begins after the floor says only that it is later than that.
    assert await handshake("broker", At1970(wall=now - 5 * year)) == "TLSv1.3"


async def test_at_1970_everything_else_is_verified_as_always(tmp_path):
    """Another authority's broker, and one with another name, are refused."""
    import asyncio
    import socket

    from gateway.link import tls
    from gateway.model import UplinkSpec
    from tests import certificates

    ours, theirs = certificates.Directory(tmp_path / "ours"), certificates.Directory(tmp_path / "theirs")
    ours.server("other", hosts=("elsewhere.example",))
    ours.client("gateway")
    theirs.server("broker")
    spec = UplinkSpec("d", "localhost", 1, ours.file("ca.pem"), ours.file("gateway.pem"), ours.file("gateway.key"))
    for directory, name in ((ours, "other"), (theirs, "broker")):
        context = directory.server_context(name, trusts=ours)
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]

        def dial(port=port):
            made = tls.trust(spec, At1970(wall=time.time()))
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                made.wrap(plain)

        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(dial)
        await shut(server)
