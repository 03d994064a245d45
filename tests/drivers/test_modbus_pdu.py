"""Frames against pymodbus, an implementation of other people; refusals; writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadWriteMultipleRegistersResponse

from drivers.contract import Reply
from drivers.modbus_pdu import (
    Refusal,
    check_reply,
    crc16,
    mask_write_register,
    open_link,
    read_request,
    read_write_registers,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from gateway.errors import BusError
from gateway.model import BusKind, Quality
from tests.drivers import loading

SERIAL, TCP = BusKind.SERIAL, BusKind.TCP
READS = st.tuples(st.sampled_from(["coil", "discrete", "holding", "input"]), st.integers(0, 65000), st.integers(1, 125))


def finish(writing, answer):
    """Drives a write; `answer(exchange)` gives the reply."""
    return loading.run(writing, answer)[1]


@given(st.binary(max_size=300))
def test_crc_is_that_of_an_independent_implementation(data):
    """pymodbus returns it in the order of the wire."""
    assert crc16(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@given(READS)
def test_an_independent_server_reads_our_read_requests(wanted):
    """Function, address and quantity, through pymodbus's own decoder of requests."""
    table, first, quantity = wanted
    decoded = DecodePDU(True).decode(read_request(table, first, quantity).pdu)
    assert (decoded.function_code, decoded.address, decoded.count) == (
        {"coil": 1, "discrete": 2, "holding": 3, "input": 4}[table],
        first,
        quantity,
    )


@given(READS, st.data())
def test_a_reply_of_an_independent_server_is_taken(wanted, data):
    """pymodbus encodes the reply; its payload comes through both framings unchanged."""
    table, first, quantity = wanted
    request = read_request(table, first, quantity)
    if table in ("coil", "discrete"):
        bits = data.draw(st.lists(st.booleans(), min_size=quantity, max_size=quantity))
        body = sum(bit << place for place, bit in enumerate(bits)).to_bytes((quantity + 7) // 8, "little")
    else:
        words = data.draw(st.lists(st.integers(0, 65535), min_size=quantity, max_size=quantity))
        body = b"".join(word.to_bytes(2, "big") for word in words)
    reply = DecodePDU(False).decode(request.begin + body)
    assert reply.encode() == bytes([len(body)]) + body
    pdu = bytes([reply.function_code]) + reply.encode()
    for kind in (SERIAL, TCP):
        link = open_link(kind, 9)
        exchange = link.prepare(request)()
        frame = reply_frame(kind, exchange, 9, pdu)
        assert loading.framed(exchange, frame + b"\xaa\x55") == frame
        got = link.unwrap(exchange, frame)
        check_reply(request, got)
        assert got == pdu


def reply_frame(kind, exchange, unit, pdu):
    if kind is TCP:
        return exchange.request[:2] + b"\0\0" + (1 + len(pdu)).to_bytes(2, "big") + bytes([unit]) + pdu
    return rtu(bytes([unit]) + pdu)


def rtu(body):
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@pytest.mark.parametrize("code", range(256))
def test_an_exception_is_a_refusal_with_its_code(code):
    """2 is NO_SUCH_REGISTER; 10 and 11 mean that nobody is there; every other code is REFUSED."""
    expected = {2: Quality.NO_SUCH_REGISTER, 10: Quality.NOT_RESPONDING, 11: Quality.NOT_RESPONDING}
    with pytest.raises(Refusal) as raised:
        check_reply(read_request("holding", 0, 1), bytes([0x83, code]))
    assert raised.value.code == code
    assert raised.value.quality == expected.get(code, Quality.REFUSED)


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (rtu(bytes.fromhex("02030200ff")), "unit 2 answered"),
        (rtu(bytes.fromhex("01040200ff")), "not the reply"),
        (rtu(bytes.fromhex("010304 00ff00ff")), "not the reply"),
        (rtu(bytes.fromhex("010302 00ff 00")), "not the reply"),
        (rtu(bytes.fromhex("0184 02")), "not the reply"),
        (bytes.fromhex("01030200ff0000"), "bad CRC"),
        (bytes.fromhex("0103"), "too short"),
        (b"", "too short"),
    ],
)
def test_rtu_replies_that_cannot_be_trusted(frame, what):
    """Each is a BAD_FRAME that says why, even when the bus did not ask the framing."""
    link, request = open_link(SERIAL, 1), read_request("holding", 0, 1)
    exchange = link.prepare(request)()
    with pytest.raises(BusError, match=what) as raised:
        check_reply(request, link.unwrap(exchange, frame))
    assert raised.value.quality is Quality.BAD_FRAME


def test_an_echo_that_has_the_form_of_a_reply_is_refused():
    """Coils 0x0300-0x0313 of unit 1: the request has the very form of its three-byte reply."""
    link, request = open_link(SERIAL, 1), read_request("coil", 0x0300, 20)
    exchange = link.prepare(request)()
    assert loading.framed(exchange, exchange.request) == exchange.request
    with pytest.raises(BusError, match="echo"):
        link.unwrap(exchange, exchange.request)


@pytest.mark.parametrize("begin", ["02", "0104", "010304", "0184", "ff", "018501"])
def test_the_rtu_framing_refuses_a_start_that_is_no_reply(begin):
    """As early as the wrong byte is there, so that the bus need not wait for the time-out."""
    exchange = open_link(SERIAL, 1).prepare(read_request("holding", 0, 1))()
    with pytest.raises(BusError):
        exchange.framing(bytes.fromhex(begin))


@given(st.binary(min_size=2, max_size=2))
def test_a_late_reply_over_tcp_is_framed_but_not_mine(transaction):
    """Its transaction id is another one: the bus drops it and waits on."""
    link, request = open_link(TCP, 1), read_request("holding", 0, 1)
    exchange = link.prepare(request)()
    late = transaction + bytes.fromhex("0000 0007 01 03 04 0001 0002")
    assert exchange.framing(late) == len(late)
    assert exchange.mine(late) == (transaction == exchange.request[:2])


@pytest.mark.parametrize("header", ["0000 0001", "0000 0100", "0000 0000 0000", "0000 0000 00ff", "0000 0000 0002"])
def test_the_tcp_framing_refuses_another_protocol_or_an_impossible_length(header):
    """Protocol 0; unit and PDU are 3 to 254 bytes."""
    exchange = open_link(TCP, 1).prepare(read_request("holding", 0, 1))()
    with pytest.raises(BusError):
        exchange.framing(bytes.fromhex(header))


@pytest.mark.parametrize(
    "frame", ["0000 0000 0005 02 03 02 0001", "0000 0000 0005 01 03 02 00", "0000 0000 0003 01 03"]
)
def test_tcp_replies_that_cannot_be_trusted(frame):
    """A foreign unit under the right transaction, and cut frames."""
    link = open_link(TCP, 1)
    exchange = link.prepare(read_request("holding", 0, 1))()
    with pytest.raises(BusError):
        link.unwrap(exchange, exchange.request[:2] + bytes.fromhex(frame)[2:])


def test_transactions_count_up_and_wrap():
    """Each request its own id, 0 after 65535."""
    make = open_link(TCP, 1, first_transaction=65534).prepare(read_request("holding", 0, 1))
    assert [make().request[:2] for _ in range(3)] == [b"\xff\xfe", b"\xff\xff", b"\0\0"]


def test_a_vendor_that_sends_its_crc_high_byte_first():
    """Both ways, by the option."""
    link, request = open_link(SERIAL, 1, crc_order="high_first"), read_request("holding", 0, 1)
    exchange = link.prepare(request)()
    assert exchange.request[-2:] == crc16(exchange.request[:-2]).to_bytes(2, "big")
    body = bytes.fromhex("01030200ff")
    assert link.unwrap(exchange, body + crc16(body).to_bytes(2, "big")) == body[1:]
    with pytest.raises(BusError):
        link.unwrap(exchange, rtu(body))


WRITES = [
    (write_coil, (3, 1), 5, {"bits": [True]}),
    (write_coil, (3, 0), 5, {"bits": [False]}),
    (write_register, (0x1234, 0xABCD), 6, {"registers": [0xABCD]}),
    (write_coils, (7, [1, 0, 1, 1, 0, 0, 0, 0, 1]), 15, {"bits": [True, False, True, True, *[False] * 4, True]}),
    (write_registers, (9, [1, 65535, 3]), 16, {"registers": [1, 65535, 3]}),
]


@pytest.mark.parametrize(("write", "arguments", "function", "fields"), WRITES)
@pytest.mark.parametrize("kind", [SERIAL, TCP])
def test_an_independent_server_reads_our_writes_and_its_answer_is_taken(kind, write, arguments, function, fields):
    """pymodbus decodes the request and makes the reply."""

    def answer(exchange):
        pdu = exchange.request[7:] if kind is TCP else exchange.request[1:-2]
        decoded = DecodePDU(True).decode(pdu)
        assert (decoded.function_code, decoded.address) == (function, arguments[0])
        for name, value in fields.items():
            assert getattr(decoded, name)[: len(value)] == value
        return reply_frame(kind, exchange, 1, pdu[:5])

    assert len(finish(write(open_link(kind, 1), *arguments), answer)) == 1


@pytest.mark.parametrize(("write", "arguments", "function", "fields"), WRITES)
def test_a_write_whose_reply_differs_is_an_error(write, arguments, function, fields):
    """Each byte of the reply changed, one at a time; and an exception."""
    exchange = next(write(open_link(SERIAL, 1), *arguments))
    for place in range(1, 5):
        body = bytearray(exchange.request[:6])
        body[place] ^= 1
        writing = write(open_link(SERIAL, 1), *arguments)
        next(writing)
        with pytest.raises(BusError) as raised:
            writing.send(Reply(rtu(bytes(body)), 1.0))
        assert raised.value.quality is Quality.BAD_FRAME
    with pytest.raises(Refusal):
        finish(write(open_link(SERIAL, 1), *arguments), lambda exchange: rtu(bytes([1, function | 0x80, 3])))


@pytest.mark.parametrize(
    ("write", "values"), [(write_coils, [0] * 1969), (write_coils, []), (write_registers, [0] * 124)]
)
def test_more_than_one_write_can_carry_is_refused_before_it_is_sent(write, values):
    """1968 coils, 123 registers."""
    with pytest.raises(ValueError):
        next(write(open_link(SERIAL, 1), 0, values))


def test_a_frame_of_another_transaction_is_refused_even_when_the_bus_let_it_through():
    """`mine` is the bus's to ask; the driver looks again."""
    link = open_link(TCP, 1, first_transaction=7)
    exchange = link.prepare(read_request("holding", 0, 1))()
    with pytest.raises(BusError, match="transaction"):
        link.unwrap(exchange, bytes.fromhex("0008 0000 0005 01 03 02 0001"))


WORD = st.integers(0, 0xFFFF)


@given(WORD, WORD, WORD)
def test_a_masked_write_is_what_an_independent_decoder_reads_and_its_answer_is_its_echo(address, keep, set_to):
    """Function 22: (current AND and-mask) OR or-mask."""
    (exchange,) = finish(
        mask_write_register(open_link(TCP, 1), address, keep, set_to), lambda exchange: exchange.request
    )
    decoded = DecodePDU(True).decode(exchange.request[7:])
    assert (decoded.function_code, decoded.address, decoded.and_mask) == (22, address, keep)
    for now in (0, 0xFFFF, 0xA5C3):
        assert now & decoded.and_mask | decoded.or_mask == now & keep | set_to & ~keep


@given(
    WORD,
    WORD,
    st.lists(WORD, min_size=1, max_size=121),
    st.lists(WORD, min_size=1, max_size=125),
    st.sampled_from([SERIAL, TCP]),
)
def test_one_exchange_writes_and_reads(first, address, written, read, kind):
    """Function 23, against pymodbus's decoder and encoder."""

    def answer(exchange):
        pdu = exchange.request[7:] if kind is TCP else exchange.request[1:-2]
        decoded = DecodePDU(True).decode(pdu)
        assert (decoded.function_code, decoded.read_address, decoded.read_count) == (23, first, len(read))
        assert (decoded.write_address, decoded.write_registers) == (address, written)
        reply = b"\x17" + ReadWriteMultipleRegistersResponse(registers=read).encode()
        if kind is SERIAL:
            return rtu(b"\x01" + reply)
        return exchange.request[:4] + (len(reply) + 1).to_bytes(2, "big") + b"\x01" + reply

    result, _ = loading.run(read_write_registers(open_link(kind, 1), first, len(read), address, written), answer)
    assert result == tuple(read)


def test_the_echo_of_a_write_that_reads_is_never_taken_for_what_was_read():
    """Built so that the request has the length and the beginning of its own reply."""
    words = [7] * 4
    begun = read_write_registers(open_link(SERIAL, 1), 16 << 8 | 1, 8, 0, words)
    exchange = next(begun)
    assert exchange.framing(exchange.request) == len(exchange.request) == 5 + 16
    with pytest.raises(BusError, match="echo"):
        begun.send(Reply(exchange.request, 1.0))


@pytest.mark.parametrize(("quantity", "words"), [(0, [1]), (126, [1]), (1, []), (1, [0] * 122)])
def test_more_than_function_23_can_carry_is_refused_before_it_is_sent(quantity, words):
    """121 registers to write, 125 to read, at least one of each."""
    with pytest.raises(ValueError):
        next(read_write_registers(open_link(SERIAL, 1), 0, quantity, 0, words))
