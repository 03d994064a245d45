"""The pure parts of `bench.peers`: what a message at the broker says, the figures, the table, and the line that keeps time."""

import json
import time

import pytest

from bench.peers import gengfu, line, modpoll, nodered, table, thingsboard


def test_each_product_s_own_message_gives_the_same_values():
    """Device, register, value; a message of another kind gives none."""
    senml = [
        {"bn": "bench-01/d1/", "bt": 5, "n": "r7", "v": 3},
        {"n": "r8", "v": 4},
        {"n": "r9/quality", "vs": "stuck"},
    ]
    said = [
        (gengfu.PRODUCT, "gengfu/v1/bench-01/telemetry", senml),
        (modpoll.PRODUCT, "modpoll/d1/data", {"r7": 3, "r8": 4, "r9": None}),
        (thingsboard.PRODUCT, "v1/gateway/telemetry", {"d1": [{"ts": 5, "values": {"b0r7": 3, "b1r8": 4}}]}),
        (nodered.PRODUCT, "nodered/d1/7", [3, 4]),
    ]
    for product, topic, content in said:
        payload = json.dumps(content).encode()
        assert list(product.values(topic, payload)) == [("d1", 7, 3), ("d1", 8, 4)], product.name
        assert list(product.values("another/topic", payload)) == [], product.name


def test_a_step_that_our_alarm_tells_is_a_change():
    """The peers have no alarms: their values tell it."""
    for present, value in ((True, 1.0), (False, 0.0)):
        body = json.dumps({"alarm": "stepped", "present": present}).encode()
        assert list(gengfu.values("gengfu/v1/bench-01/alarm", body)) == [(gengfu.ALARM, 0, value)]
    assert list(gengfu.values("gengfu/v1/bench-01/alarm", b'{"alarm": "d/silent", "present": true}')) == []


def test_thingsboard_is_told_that_there_are_no_limits():
    """Without an answer it sends nothing."""
    ((topic, said),) = thingsboard.answer(
        "v1/devices/me/rpc/request/4", b'{"method": "getSessionLimits", "params": {}}'
    )
    assert topic == "v1/devices/me/rpc/response/4"
    assert json.loads(said)["rateLimits"] == {}
    assert list(thingsboard.answer("v1/gateway/telemetry", b"{}")) == []


def test_percentile_is_a_value_that_was_measured():
    """The smallest one that so many do not exceed."""
    hundred = list(range(100, 0, -1))
    assert [table.percentile(hundred, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert table.percentile([7.0], 0.5) == 7.0
    with pytest.raises(ValueError, match="no values"):
        table.percentile([], 0.5)


def test_delay_is_to_the_first_arrival_before_the_next_rise():
    """What comes later is not this rise's, and one that never arrived is counted; rises outside of the time are not."""
    rises, arrivals = [0.0, 1.0, 2.0, 3.0, 9.0], [0.1, 1.5, 1.6, 3.25, 9.1]
    found, missed = table.delays(rises, arrivals, 1.0, 5.0)
    assert found == pytest.approx([500.0, 250.0])
    assert missed == 1


def test_rate_does_not_depend_on_where_the_window_falls():
    """Who sends a second's values at once, in several messages, has the same rate as one that spreads them."""
    heaps = [(second + 0.01 * part, 500) for second in range(40) for part in range(4)]
    spread = [(0.25 * number, 500) for number in range(160)]
    for messages in (heaps, spread):
        for begin in (4.9, 5.0, 5.1):
            assert table.rate(messages, begin, begin + 30) == pytest.approx(2000, rel=0.005)
    assert table.rate([(1.0, 40)], 0, 10) == 0.0
    assert table.rate([(1.0, 40), (1.0, 40)], 0, 10) == 0.0


def test_periods_leave_the_silent_one_out():
    """It is asked again and again; the others' periods are the figure."""
    asked = {"0/1": [1.0, 2.0, 4.0], "0/5": [1.0, 1.5], "5/1": [7.0, 7.1]}
    assert table.periods(asked, but="0/5") == pytest.approx([1.0, 2.0, 0.1])
    assert table.periods(asked, but="5/*") == pytest.approx([1.0, 2.0, 0.5])


def test_use_counts_whole_exchanges_and_early_requests():
    """Four requests 0.1 s apart, each of which needs 0.08 s: 80 %."""
    exchanges = [(0.0, 5.0, True), (1.0, 0.08, True), (1.1, 0.08, False), (1.2, 0.08, True), (1.3, 0.08, False)]
    used, early = table.use(exchanges, 0.5, 2.0)
    assert used == pytest.approx(80.0)
    assert early == pytest.approx(100 / 3)
    with pytest.raises(ValueError, match="fewer than two"):
        table.use(exchanges, 5.0, 6.0)


def test_table_shows_ours_as_a_share_and_says_what_is_missing():
    """A reason stands where there is no figure; rows that nobody measured are left out."""
    shown = table.table(
        {"gengfu": {"cpu": 0.05, "idle": 0.1}, "other": {"cpu": 0.5}, "third": table.none("load", "failed")}
    )
    assert "| CPU-s per 10,000 delivered values | 0.050 | 0.500 (x 0.1) | failed |" in shown
    assert "| one device asked every 20 s, % of a core | 0.100 | not run | not run |" in shown
    assert "9600" not in shown


def test_line_s_time_is_the_standard_s():
    """11 bits a character for the silence up to 19200, 1.75 ms above; 10 bits (8N1) for what is on the line."""
    assert line.Times.of(9600).exchange_s(25) == pytest.approx(33 * 10 / 9600 + 2 * 3.5 * 11 / 9600)
    assert line.Times.of(115200).exchange_s(25) == pytest.approx(33 * 10 / 115200 + 2 * 0.00175)


def test_line_s_reply_is_a_valid_one_and_nothing_else_is_answered():
    """The frame of the standard's example has its known check."""
    request = bytes.fromhex("01 03 00 00 00 02 c4 0b")
    assert line.crc(request[:-2]) == request[-2:]
    frame, write = bytes.fromhex("01 03 04 0005 0006"), bytes.fromhex("01 06 00 00 00 02")
    assert line.reply(request, answers=5) == frame + line.crc(frame)
    assert line.reply(request[:-1] + b"\x00", 0) == b""
    assert line.reply(write + line.crc(write), 0) == b""


def test_line_keeps_real_time_and_sees_an_early_request():
    """No reply is over before it can be; a request half way through the silence after it is early, one after it is not."""
    far, times = line.Line(19200), line.Times.of(19200)
    request = bytes.fromhex("01 03 00 00 00 02 c4 0b")
    began = time.monotonic()
    far.exchange(request, began)
    assert far.ended >= began + (8 + 9) * times.character_s + times.silence_s
    far.exchange(request, far.ended + times.least_silence_s / 2)
    far.exchange(request, far.ended + times.least_silence_s)
    far.exchange(b"not a request", far.ended)
    assert [early for _, _, early in far.exchanges] == [False, True, False]
    assert far.bad == len(b"not a request")
