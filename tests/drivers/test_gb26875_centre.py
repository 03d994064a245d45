"""The local centre against a simulated transmission device that shares no code with it, in virtual time; and as
transcripts of one connection."""

from dataclasses import replace
from datetime import timedelta, timezone
from math import inf
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Heard, Received, Send, Spoke, Stranger, Tell, Wait
from drivers.gb26875_centre import GB26875, GIVE_UP_S
from drivers.gb26875_dialect import DIALECTS, STANDARD
from drivers.gb26875_peer import Outcome
from drivers.gb26875_points import At, Options, read
from drivers.gb26875_stream import Stream
from drivers.gb26875_unit import Object
from firmware_sim.uitd import Part, Uitd, framed
from gateway.model import Deadline, Device, Group, Kind, Point, Quality
from tests.drivers.test_gb26875 import V01, frame, raw

SMOKE = Part(40, bytes.fromhex("0a000200"), "12层走道烟感")
ANSWER_S = 10.0
CALL_POINT = Part(23, bytes.fromhex("0b000200"), "手动报警按钮")


def group(name, period_s=60.0, **bits_or_at):
    points = tuple(
        Point(f"fire-1/{key}", key, Kind.FLOAT if at.of == "analogue" else Kind.BOOL, source=at)
        for key, at in bits_or_at.items()
    )
    return Group(name, points, period_s, True)


def part_group(name, part, **more):
    address = int.from_bytes(part.address, "little")
    return group(
        name,
        **{f"{name}_{bit}": At("component", bit, component_address=address) for bit in ("fire", "fault")},
        **more,
    )


DUTY = Group(
    "duty",
    (
        Point(
            "fire-1/duty",
            "duty",
            Kind.ENUM,
            labels=tuple((one.value, one.name.lower()) for one in Outcome),
            source=At("duty", "outcome"),
        ),
        Point("fire-1/answer_s", "answer_s", Kind.FLOAT, source=At("duty", "answer_s")),
        Point("fire-1/operator", "operator", Kind.INT, source=At("duty", "operator")),
    ),
    60.0,
)


def device(*groups, address=889, **options):
    groups = groups or (
        group("own", own_fire=At("device", "fire"), main_power_fault=At("device", "main_power_fault")),
        group("facility", facility_fire=At("system", "fire")),
        part_group("smoke", SMOKE),
        part_group("button", CALL_POINT),
    )
    return Device("fire-1", "bus", "gb26875", address, groups, options=Options(**options))


class Connection:
    """Drives the generator as the listener does; keeps all that it said."""

    def __init__(self, *devices, listen=GB26875.listen):
        devices = devices or (device(),)
        self.groups = {(one.id, index): part for one in devices for index, part in enumerate(one.groups)}
        self.listening = listen({str(one.address): one for one in devices})
        self.wait = next(self.listening)
        self.values = {}
        self.strangers = []
        self.spoken = []

    def tell(self, event):
        """What is sent back."""
        out = b""
        item = self.listening.send(event)
        while not isinstance(item, Wait):
            match item:
                case Send():
                    out += item.data
                case Heard():
                    scan = item.scan
                    names = [point.name for point in self.groups[scan.device, scan.group].points]
                    self.values |= dict(zip(names, scan.values, strict=True))
                    assert scan.at == event.at
                case Stranger():
                    self.strangers.append(item.address)
                case Spoke():
                    self.spoken.append(item)
            item = next(self.listening)
        self.wait = item
        return out

    def receive(self, data, at=1.0, wall=None):
        return self.tell(Received(data, at, wall))


def play(connection, uitd, until, lose=lambda: False, now=0.0):
    """Both sides until a time; `lose` says whether the next bytes are lost on the way."""
    while now < until:
        back = uitd.step(now)
        for _ in range(200):
            if not back or lose():
                break
            out = connection.receive(back, now)
            if not out or lose():
                break
            back = uitd.receive(out, now)
        else:
            raise AssertionError("they talk without an end")
        due = connection.wait.until if connection.wait.until is not None else inf
        if due <= now:
            out = connection.tell(Deadline(now))
            if out and not lose():
                connection_back = uitd.receive(out, now)
                if connection_back:
                    connection.receive(connection_back, now)
        now += 0.5
    return now


def uitd(**more):
    return Uitd(889, 88888, (SMOKE, CALL_POINT), **more)


def test_a_fire_is_heard_at_once_and_confirmed():
    """In the same moment as it came; the other detector is not touched by it."""
    connection, panel = Connection(), uitd()
    play(connection, panel, 1.0)
    panel.change(SMOKE, 0b10)
    play(connection, panel, 1.5, now=1.0)
    assert connection.values["smoke_fire"] == 1
    assert connection.values["button_fire"] == 0
    assert len(panel.delivered) == 1
    assert not panel.failed


def test_every_group_is_asked_for_in_its_period():
    """The device says nothing of its own but a heart-beat; its states are known all the same, and known anew."""
    connection, panel = Connection(), uitd(heartbeat_s=20.0)
    panel.states[SMOKE.address] = 0b100
    now = play(connection, panel, 5.0)
    assert connection.values == {
        "own_fire": 0, "main_power_fault": 0, "facility_fire": 0,
        "smoke_fire": 0, "smoke_fault": 1, "button_fire": 0, "button_fault": 0,
    }  # fmt: skip
    panel.states[SMOKE.address] = 0b10  # without an upload: lost on another connection
    play(connection, panel, 70.0, now=now)
    assert connection.values["smoke_fire"] == 1


def test_the_devices_own_states_are_points():
    """Types 21 and 1."""
    connection, panel = Connection(), uitd()
    panel.change_own(0b1000)
    panel.change_system(0b10)
    play(connection, panel, 2.0)
    assert connection.values["main_power_fault"] == 1
    assert connection.values["own_fire"] == 0
    assert connection.values["facility_fire"] == 1
    assert len(panel.delivered) == 2


@settings(max_examples=60)
@given(st.lists(st.booleans(), max_size=40))
def test_a_bad_line_delays_a_fire_but_does_not_lose_it(losses):
    """Whatever part of the first frames is lost: by repetition and by asking, the fire arrives."""
    connection, panel = Connection(), uitd(heartbeat_s=20.0)
    panel.change(SMOKE, 0b10)
    left = iter(losses)
    play(connection, panel, 400.0, lambda: next(left, False))
    assert connection.values["smoke_fire"] == 1


def test_a_damaged_frame_is_denied_and_comes_again():
    """Clause 6.5: no ten seconds are lost."""
    connection, panel = Connection(), uitd()
    panel.change(SMOKE, 0b10)
    sent = bytearray(panel.step(0.0))
    sent[-3] ^= 1
    denied = connection.receive(bytes(sent), 0.0)
    assert denied[26] == 6
    again = panel.receive(denied, 0.1)
    assert connection.receive(again, 0.2)[26] == 3
    assert connection.values["smoke_fire"] == 1


def test_a_question_without_answer_is_repeated_three_times_and_then_left():
    """Until the next period."""
    connection = Connection(device(part_group("smoke", SMOKE)))
    connection.receive(frame(), 0.0)
    times = []
    while connection.wait.until is not None and connection.wait.until < 100.0:
        at = connection.wait.until
        if connection.tell(Deadline(at)):
            times.append(at)
    assert times == [ANSWER_S, 2 * ANSWER_S, 3 * ANSWER_S]  # the first went out with the confirmation
    assert connection.wait.until == pytest.approx(100.0)


def test_a_denied_question_is_repeated_three_times_at_once():
    """Denial is repeated as a time-out is; without an end it is not."""
    connection = Connection(device(part_group("smoke", SMOKE)))
    out = connection.receive(frame(), 0.0)
    asked = 0
    while out and asked < 20:
        question = out[-38:]
        assert question[26] == 4
        asked += 1
        out = connection.receive(framed(question[2:12] + question[18:24] + question[12:18], 6), 1.0)
    assert asked == 4


def test_ask_off_asks_nothing():
    """For a device that answers no questions."""
    connection = Connection(device(ask="off"))
    out = connection.receive(V01, 0.0)
    assert (len(out), out[26]) == (30, 3)  # the confirmation, and nothing behind it
    assert connection.wait.until is None


def test_the_confirmation_is_that_of_the_published_dialogue():
    """V02 answers V01, but for the time tag: the driver gives back the one that came."""
    out = Connection(device(ask="off")).receive(V01)
    wanted = bytearray(raw("V02"))
    wanted[6:12] = V01[6:12]
    wanted[-3] = sum(wanted[2:-3]) % 256
    assert out == bytes(wanted)


@pytest.mark.parametrize(("name", "answer"), [("V34", 3), ("V35", 3), ("V29", 3), ("V37", None)])
def test_dahua_devices_register_and_stay(name, answer):
    """Registration and keep-alive are confirmed; a question for the time gets no answer: there is no time to give."""
    component = At("component", "fire", component_address=0x70002, system=128)
    connection = Connection(
        device(group("call", call=component), address="123456789012", dialect="dahua-1.03", ask="off")
    )
    out = connection.receive(raw(name))
    assert (out[26] if out else None) == answer
    assert connection.values == ({"call": 1} if name == "V29" else {})


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (frame(), 3),  # a heart-beat
        (frame(bytes.fromhex("18012001023a091a090c")), 3),  # an operation: no point, but understood
        (frame(command=200), 6),
        (frame(bytes.fromhex("550100"), command=4), 6),  # a question to a centre
        (frame(bytes.fromhex("5b010a"), command=1), 6),  # an order to a centre
        (frame(bytes.fromhex("5a01023a091a090c"), command=1), None),
        (frame(command=3), None),
        (frame(command=6), None),
        (frame(command=9), 6),
        (frame(V01[27:-3], command=5), None),
        (frame(V01[27:-3], command=4), 3),
        (frame(V01[27:-3], command=200), 3),
    ],
    ids=lambda value: f"command-{value[26]}-{len(value)}" if isinstance(value, bytes) else str(value),
)
def test_what_is_understood_is_confirmed_and_the_rest_denied(data, answer):
    """And a fire is heard under whatever command it comes."""
    connection = Connection(device(part_group("smoke", SMOKE), ask="off"))
    out = connection.receive(data)
    assert (out[26] if out else None) == answer
    assert connection.values.get("smoke_fire") == (1 if V01[27:-3] in data else None)


def test_an_unknown_device_is_shown_and_gets_no_answer():
    """It is not believed, so it must not believe that it was heard."""
    connection = Connection(device(address=1))
    assert connection.receive(V01) == b""
    assert connection.strangers == ["889 (790300000000)"]
    assert connection.values == {}


def test_a_thing_without_a_point_is_shown():
    """Confirmed, and not lost unseen."""
    connection = Connection(device(part_group("button", CALL_POINT), ask="off"))
    assert connection.receive(V01)[26] == 3
    assert connection.strangers == ["889: component 1 1 131082 0"]


def test_a_fire_of_a_forgotten_detector_is_a_fire_of_its_system():
    """The system's fire is raised at once, its other bits are not touched, and it is asked for them; a mere fault raises
    nothing."""
    connection = Connection(
        device(group("alone", facility_fire=At("system", "fire")), group("rest", facility_fault=At("system", "fault")))
    )
    connection.receive(frame(), 0.0)
    fault = frame(bytes.fromhex("02010101280a0002000400") + bytes(31) + V01[-9:-3])
    connection.receive(fault, 1.0)
    assert connection.values == {}
    out = connection.receive(V01, 2.0)
    assert connection.values == {"facility_fire": 1}
    asked = [out[at + 27] for at in range(len(out) - 30) if out[at : at + 2] == b"@@" and out[at + 26] == 4]
    assert asked == [61]


def test_a_forgotten_detector_of_another_system_raises_nothing_here():
    """System 2 is not system 1."""
    connection = Connection(device(group("alone", facility_fire=At("system", "fire", system=2))))
    connection.receive(V01)
    assert connection.values == {}


def test_an_analogue_value_is_scaled():
    """V47: 352.0 kPa; a type that does not fit the point's never touches it."""
    at = At("analogue", system=11, component_address=7, analogue=5)
    connection = Connection(device(group("tank", pressure=at), ask="off"))
    connection.receive(raw("V47"))
    assert connection.values == {"pressure": 352.0}


def test_what_stays_incomplete_is_searched():
    """A length that lies hides a fire for five seconds at most."""
    connection = Connection(device(part_group("smoke", SMOKE), ask="off"))
    assert connection.receive(frame(length=1000) + V01, 1.0) == b""
    assert connection.wait.until == 1.0 + GIVE_UP_S
    assert connection.tell(Deadline(1.0 + GIVE_UP_S))[26] == 3
    assert connection.values["smoke_fire"] == 1


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"address": 2**48}, "address"),
        ({"address": "twelve"}, "address"),
        ({"groups": (group("g", a=At("system", "fire"), b=At("device", "fire")),)}, "groups.g"),
        ({"groups": (group("g", a=At("system", "smell")),)}, "points.a.at.bit"),
        ({"groups": (group("g", a=At("analogue", analogue=99)),)}, "points.a.at.analogue"),
        ({"groups": (group("g", a=At("system", "fire", system=256)),)}, "points.a.at.system"),
        ({"groups": (Group("g", (Point("d/a", "a", Kind.INT, source=At("system", "fire")),), 1.0),)}, "points.a.kind"),
    ],
)
def test_mistakes_in_a_site_are_told_by_their_path(changed, path):
    """One each, in both languages."""
    (mistake,) = GB26875.check(replace(device(), **changed))
    assert mistake[0] == path
    assert " / " in mistake[1]


def test_a_right_site_has_no_mistake():
    """As used here."""
    assert GB26875.check(device()) == []


@given(
    st.lists(
        st.sampled_from(
            [
                V01,
                raw("V05"),
                raw("V11"),
                raw("V10"),
                raw("V04"),
                raw("V47"),
                raw("V02"),
                raw("V03"),
                b"@@",
                bytes(40),
                frame(length=900),
            ]
        )
    )
)
def test_any_mixture_is_survived(parts):
    """No exception; each scan fits its group and has only good values and reasons; also while persons check on duty and
    the clock gains and loses trust."""
    connection = Connection(device(*device().groups, DUTY))
    for at, part in enumerate(parts):
        connection.receive(part[: 1 + at * 7 % 60], float(at), WALL if at % 3 else None)
        connection.receive(part[1 + at * 7 % 60 :], float(at))
        if at % 4 == 1:
            connection.tell(Tell("fire-1", "duty_check", 1 + at, float(at)))
    connection.tell(Deadline(1000.0))
    states = {name: value for name, value in connection.values.items() if name not in ("answer_s", "operator", "duty")}
    assert all(value in (0, 1) for value in states.values())
    assert connection.values.get("duty", 0) in list(Outcome)


def test_a_bit_that_a_dialect_does_not_have_is_never_a_reassuring_zero():
    """Past `check`, a wrong name gives no value."""
    point = group("g", a=At("system", "smell")).points[0]
    assert read(point, Object(state=0), STANDARD) == (None, Quality.NO_SUCH_REGISTER)


def test_every_dialect_can_be_chosen():
    """The options name those that the codec has."""
    assert set(get_args(get_type_hints(Options)["dialect"])) == {dialect.name for dialect in DIALECTS.values()}


# --- sent again, clocks, duty checks -------------------------------------------------------------------------------------

WALL = 1_800_000_000.0  # 2027-01-15 16:00 in Beijing
BEIJING = timezone(timedelta(hours=8))
QUIET = {"ask": "off", "set_clock_s": 0.0}


def frames(data):
    """What was sent, cut into frames."""
    return [piece for piece in Stream().feed(data) if piece.message]


def sent(data):
    """Command and type of each frame."""
    return [(one.message.command, one.message.unit and one.message.unit.type) for one in frames(data)]


def reply(request, command, serial=None):
    """A device's confirmation or denial of our frame."""
    head = request[2:12] if serial is None else serial.to_bytes(2, "little") + request[4:12]
    return framed(head + request[18:24] + request[12:18], command)


def deadlines(connection, until):
    """What is sent at each deadline before a time: (time, bytes)."""
    out = []
    while connection.wait.until is not None and connection.wait.until < until:
        at = connection.wait.until
        out.append((at, connection.tell(Deadline(at))))
    return out


def test_a_clock_is_set_at_the_first_call_and_then_in_its_period():
    """Local time of the device, from the gateway's clock; once it is confirmed, not before the next hour."""
    connection = Connection(device(ask="off"))
    first, order = frames(connection.receive(frame(), 0.0, WALL))
    assert first.message.command == 3
    assert (order.message.command, order.message.unit.type) == (1, 90)
    assert STANDARD.time(order.message.unit.objects[0].time).isoformat() == "2027-01-15T16:00:00"
    assert order.message.time == order.message.unit.objects[0].time
    connection.receive(reply(order.data, 3), 1.0, WALL + 1)
    ((at, again),) = deadlines(connection, 3700.0)[:1]
    assert (at, sent(again)) == (3601.0, [(1, 90)])
    assert STANDARD.time(frames(again)[0].message.unit.objects[0].time).isoformat() == "2027-01-15T17:00:01"


def test_a_time_that_cannot_be_trusted_is_never_sent():
    """Neither on its own nor when it is asked for; as soon as it can be trusted, it is."""
    connection = Connection(device(ask="off"))
    asked = frame(bytes.fromhex("5a01023a091a090c"), command=1)
    assert connection.receive(frame(), 0.0) != b""
    assert connection.receive(asked, 1.0) == b""
    assert connection.wait.until is None
    assert sent(connection.receive(frame(), 2.0, WALL)) == [(3, None), (1, 90)]


def test_a_clock_that_lost_trust_is_not_sent_again():
    """A repetition is due, and our own clock was found wrong meanwhile."""
    connection = Connection(device(ask="off"))
    connection.receive(frame(), 0.0, WALL)
    connection.receive(frame(), 5.0, None)
    assert deadlines(connection, 1000.0) == []


def test_a_dahua_device_that_asks_for_the_time_gets_it():
    """V37 is answered as V38 shows, in BCD; by a frame of ours that it confirms."""
    connection = Connection(device(address="123456789012", dialect="dahua-1.03", **QUIET))
    at = DIALECTS["dahua-1.03"].time(bytes.fromhex("153014240826")).replace(tzinfo=BEIJING).timestamp()
    out = connection.receive(raw("V37"), 5.0, at)
    wanted = bytearray(raw("V38"))
    wanted[2:4] = b"\0\0"
    wanted[-3] = sum(wanted[2:-3]) % 256
    assert out == bytes(wanted)
    connection.receive(reply(out, 3), 6.0, at)
    assert connection.wait.until is None


def test_what_we_send_is_repeated_as_the_site_says():
    """Two repetitions, 4 s each, and a denial repeats at once."""
    connection = Connection(device(part_group("smoke", SMOKE), answer_s=4.0, repeats=2, set_clock_s=0.0))
    out = connection.receive(frame(), 0.0)
    assert sent(out) == [(3, None), (4, 62)]
    denied = connection.receive(reply(frames(out)[1].data, 6), 1.0)
    assert sent(denied) == [(4, 62)]
    assert [(at, sent(data)) for at, data in deadlines(connection, 30.0)] == [(5.0, [(4, 62)]), (9.0, [])]


def duty_connection(**options):
    connection = Connection(device(DUTY, **{**QUIET, **options}))
    connection.receive(frame(), 0.0)
    return connection


def outcome(connection):
    return Outcome(connection.values["duty"]).name


def test_a_duty_check_is_asked_confirmed_and_answered():
    """V18 goes out, V05 comes back; the operator and the time that it took are told, and a copy changes nothing."""
    connection = duty_connection()
    assert outcome(connection) == "NONE"
    out = connection.tell(Tell("fire-1", "duty_check", 10, 10.0))
    assert outcome(connection) == "ASKED"
    assert out[26:30] == raw("V18")[26:30]
    connection.receive(reply(out, 3), 11.0)
    assert outcome(connection) == "CONFIRMED"
    assert sent(connection.receive(raw("V05"), 70.0)) == [(3, None)]
    assert connection.values == {"duty": 3, "answer_s": 60.0, "operator": 1}
    connection.receive(raw("V05"), 71.0)
    assert connection.values == {"duty": 3, "answer_s": 60.0, "operator": 1}


def test_a_duty_check_that_nobody_answers_ends():
    """Ten minutes after the device had it, and the time that an answer may need; one that comes then is late."""
    connection = duty_connection()
    out = connection.tell(Tell("fire-1", "duty_check", 10, 10.0))
    connection.receive(reply(out, 3), 11.0)
    deadlines(connection, 11.0 + 640.0)
    assert outcome(connection) == "CONFIRMED"
    connection.tell(Deadline(11.0 + 640.0))
    assert outcome(connection) == "UNANSWERED"
    connection.receive(raw("V05"), 700.0)
    assert (outcome(connection), connection.values["answer_s"]) == ("LATE", 690.0)


@pytest.mark.parametrize("denies", [True, False])
def test_a_duty_check_that_does_not_arrive_is_told(denies):
    """Four times sent, whether it is denied or nothing comes."""
    connection = duty_connection()
    out, count, at = connection.tell(Tell("fire-1", "duty_check", 10, 10.0)), 0, 10.0
    while out:
        assert sent(out) == [(1, 91)]
        count += 1
        at = at + 1.0 if denies else connection.wait.until
        out = connection.receive(reply(out, 6), at) if denies else connection.tell(Deadline(at))
    assert (count, outcome(connection)) == (4, "NOT_DELIVERED")


def test_an_answer_to_no_duty_check_is_only_confirmed():
    """Somebody pressed the key."""
    connection = duty_connection()
    assert sent(connection.receive(raw("V05"), 70.0)) == [(3, None)]
    assert outcome(connection) == "NONE"


def test_a_duty_check_survives_the_connection():
    """Asked on one, answered on another: a mobile device that lost its link."""
    port = GB26875.open_port()
    one = Connection(device(DUTY, **QUIET), listen=port)
    one.receive(frame(), 0.0)
    out = one.tell(Tell("fire-1", "duty_check", 1, 10.0))
    one.receive(reply(out, 3), 11.0)
    other = Connection(device(DUTY, **QUIET), listen=port)
    other.receive(raw("V05"), 30.0)
    assert other.values == {"duty": 3, "answer_s": 20.0, "operator": 1}
    assert one.tell(Deadline(100.0)) == b""
    assert outcome(one) == "CONFIRMED"  # told once, where the device is now


def test_a_command_for_a_device_of_another_connection_is_not_sent_here():
    """It was last heard elsewhere, and is asked there at its next word."""
    port = GB26875.open_port()
    one, other = (Connection(device(DUTY, **QUIET), listen=port) for _ in range(2))
    one.receive(frame(), 0.0)
    other.receive(frame(), 1.0)
    assert one.tell(Tell("fire-1", "duty_check", 1, 10.0)) == b""
    assert (1, 91) in sent(other.receive(frame(serial=2), 11.0))


def test_questions_follow_the_device_to_its_new_connection():
    """All is asked anew there, and nothing more on the old one."""
    port = GB26875.open_port()
    one, other = (Connection(device(part_group("smoke", SMOKE), set_clock_s=0.0), listen=port) for _ in range(2))
    assert (4, 62) in sent(one.receive(frame(), 0.0))
    assert (4, 62) in sent(other.receive(frame(serial=2), 20.0))
    assert not any(data for _, data in deadlines(one, 1000.0))


def test_a_caller_that_comes_from_a_new_port_each_time_is_not_asked_each_time():
    """A translating router; else each of its frames would bring out one question a group."""
    port = GB26875.open_port()
    asked = 0
    for at in range(20):
        one = Connection(device(part_group("smoke", SMOKE), set_clock_s=0.0), listen=port)
        asked += (4, 62) in sent(one.receive(frame(serial=at), float(at)))
    assert asked <= 3


def upload(state, serial):
    """V01 with another state and serial."""
    payload = bytearray(V01[27:-3])
    payload[9:11] = state.to_bytes(2, "little")
    return frame(bytes(payload), serial=serial)


def test_a_late_copy_clears_no_fire():
    """The network held back a copy of the 'all well' before the fire; it is confirmed, and the detector is asked."""
    connection = Connection(device(part_group("smoke", SMOKE), set_clock_s=0.0))
    connection.receive(upload(0, 1), 0.0)
    connection.receive(upload(2, 2), 1.0)
    assert sent(connection.receive(upload(0, 1), 2.0)) == [(3, None), (4, 62)]
    assert connection.values["smoke_fire"] == 1


def test_a_late_copy_of_a_fire_is_a_fire_until_the_detector_was_asked():
    """Rather once too often."""
    connection = Connection(device(part_group("smoke", SMOKE), set_clock_s=0.0))
    connection.receive(upload(2, 1), 0.0)
    connection.receive(upload(0, 2), 1.0)
    assert sent(connection.receive(upload(2, 1), 2.0)) == [(3, None), (4, 62)]
    assert connection.values["smoke_fire"] == 1


def test_a_device_whose_serial_and_clock_stand_still_is_believed():
    """The same bytes may be a new state: fire, well, fire."""
    connection = Connection(device(part_group("smoke", SMOKE), **QUIET))
    for at, state in enumerate((2, 0, 2, 0)):
        connection.receive(upload(state, 7), float(at))
        assert connection.values["smoke_fire"] == state // 2


def test_a_slow_sender_holds_up_nothing_that_is_sound():
    """A frame that never ends, one byte a second: the fire behind it is heard once that was given up."""
    connection = Connection(device(part_group("smoke", SMOKE), **QUIET))
    for at, byte in enumerate(frame(length=1000)):
        connection.receive(bytes([byte]), float(at))
        if connection.wait.until is not None and connection.wait.until <= at:
            connection.tell(Deadline(float(at)))
    connection.receive(V01, 31.0)
    if connection.wait.until is not None:
        connection.tell(Deadline(connection.wait.until))
    assert connection.values["smoke_fire"] == 1


def test_everything_that_speaks_is_told_of():
    """Known and unknown, with the thing and its state in words."""
    connection = Connection(device(part_group("button", CALL_POINT), **QUIET))
    connection.receive(V01)
    connection.receive(raw("V44"))
    known, beat = connection.spoken
    assert (known.caller, known.known, known.says.en) == ("889", True, "fire alarm")
    assert dict(known.about)["component_address"] == 131082
    assert (beat.about, beat.says.en) == ((), "heart-beat")
    stranger = Connection(device(address=1))
    stranger.receive(V01)
    assert [(one.caller, one.known) for one in stranger.spoken] == [("889 (790300000000)", False)]


FORGOTTEN = {
    "a detector of a forgotten system": V01[27:-3],
    "a forgotten system": bytes.fromhex("0101010302000300") + V01[-9:-3],
    "the device's alarm key": bytes.fromhex("18010405") + V01[-9:-3],
    "a panel's alarm key": bytes.fromhex("040101010405") + V01[-9:-3],
}


@pytest.mark.parametrize("data", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_fire_without_any_point_is_a_fire_at_its_device(data):
    """It was confirmed to the device, which will not say it again: somebody must see it. The device is asked at once."""
    connection = Connection(
        device(group("own_fire", own_fire=At("device", "fire")), group("own", own_fault=At("device", "fault")))
    )
    connection.receive(frame(), 0.0)
    out = connection.receive(frame(data), 2.0)
    assert connection.values == {"own_fire": 1}
    assert (3, None) in sent(out)
    assert (4, 81) in sent(out)


def test_a_fire_that_shares_its_group_raises_it_and_says_nothing_of_the_rest():
    """A fire is not lost for the sake of the bits beside it: they are not known, until they were asked for."""
    connection = Connection(
        device(group("own", own_fire=At("device", "fire"), own_fault=At("device", "fault")), **QUIET)
    )
    connection.receive(frame(), 0.0)
    connection.receive(V01, 2.0)
    assert connection.values == {"own_fire": 1, "own_fault": None}


def test_other_operations_and_a_fault_without_a_point_raise_nothing():
    """Reset, mute, test... are no fires; nor is the answer to a duty check."""
    connection = Connection(device(group("own_fire", own_fire=At("device", "fire")), **QUIET))
    connection.receive(frame(bytes.fromhex("1801fb05") + V01[-9:-3]), 0.0)
    connection.receive(frame(bytes.fromhex("04010101fb05") + V01[-9:-3]), 0.0)
    connection.receive(frame(bytes.fromhex("0101010304000400") + V01[-9:-3]), 0.0)
    assert connection.values == {}
