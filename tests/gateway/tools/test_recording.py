"""``gengfu record`` and ``gengfu replay``: what was read is written down without names, and played again gives what it gave."""

import asyncio
import contextlib
import hashlib
import io
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.tools.channel import ToolError
from gateway.tools.recording import Writer, load
from tests.gateway.tools.test_scan import gengfu
from tests.gateway.tools.world import SITE, Gateway

POINTS = {"one": [["density", "alarm", "fault"]]}
HEADER = {"started": 0.0, "boot": "b", "gateway": "g", "site_sha256": "", "what": "all", "points": POINTS}


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recorded(tmp_path, events, **header):
    """With other things in its header; None: without."""
    path = tmp_path / "recording.jsonl"
    with path.open("w") as file:
        writer = Writer(file, {key: said for key, said in (HEADER | header).items() if said is not None})
        for event in events:
            writer.event(event)
    return path


def scan(t, density):
    """A scan of the detector's safety group, as `fire` looks at it."""
    return {"t": t, "device": "one", "group": 0, "values": [density, 0, 0], "qualities": [0, 0, 0]}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(port="/dev/null"))
    return path


def test_texts_do_not_get_into_a_recording():
    """The same card gets the same number; the card's own is nowhere in the file."""
    file = io.StringIO()
    writer = Writer(file, HEADER)
    for card in ("04A1B2C3", "FFEE0011", "04A1B2C3"):
        writer.event({"t": 1.0, "device": "door", "group": 0, "values": [card, 1], "qualities": [0, 0]})
    values = [json.loads(line)["values"] for line in file.getvalue().splitlines()[1:]]
    assert values == [["#1", 1], ["#2", 1], ["#1", 1]]
    assert "04A1B2C3" not in file.getvalue()


def test_a_recorded_fire_is_raised_again(tmp_path, site):
    """Normal, fire, normal: a fire alarm latches, so it is raised once and stays."""
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 9.0), scan(2.0, 1.0), scan(3.0, 1.0)])
    told = gengfu("replay", path, "--site", site, "--json")
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    first = next(row for row in answer["transitions"] if row["alarm"] == "fire")
    assert (first["t"], first["before"], first["after"]) == (1.0, "normal", "unacknowledged")
    assert answer["scans"] == 4


def test_other_rules_are_compared(tmp_path, site):
    """A lower limit raises earlier: what both raise, and what only one does."""
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 4.0), scan(2.0, 4.0)])
    new = tmp_path / "new.yaml"
    new.write_text(site.read_text().replace("limit: 5", "limit: 3"))
    told = gengfu("replay", path, "--site", site, "--rules", new, "--json")
    found = [(row["alarm"], row["in"]) for row in json.loads(told.stdout)["transitions"]]
    assert ("fire", "new") in found


def test_without_a_site_the_asked_rules_are_those_of_the_recording(tmp_path, site):
    """`gengfu replay --rules NEW RECORDING`; with neither, nobody knows whose values these are."""
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 9.0)])
    assert gengfu("replay", "--rules", site, path).returncode == 0
    told = gengfu("replay", path)
    assert (told.returncode, "--site" in told.stderr) == (1, True)


def test_what_does_not_fit_the_site_is_skipped_and_counted(tmp_path, site):
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 1.0) | {"device": "foreign"}, scan(2.0, 1.0) | {"group": 77}])
    answer = json.loads(gengfu("replay", path, "--site", site, "--json").stdout)
    assert (answer["scans"], answer["skipped"]) == (1, 2)


def test_values_go_to_their_points_also_when_the_template_has_another_order(tmp_path, site):
    """The same three points, recorded in another order: what was the density is the density, and no fire is read from the fault."""
    turned = {"one": [[], ["fault", "alarm", "density"]]}
    rows = [scan(float(t), 0.0) | {"group": 1, "values": [9.0 if t == 2 else 0, 0, 1.0]} for t in range(3)]
    told = gengfu("replay", recorded(tmp_path, rows, points=turned), "--site", site, "--json")
    assert json.loads(told.stdout) == {"scans": 3, "from_bytes": 0, "skipped": 0, "transitions": []}
    rows = [row | {"values": [0, 0, row["values"][0]]} for row in rows]
    answer = json.loads(gengfu("replay", recorded(tmp_path, rows, points=turned), "--site", site, "--json").stdout)
    assert [(row["t"], row["alarm"]) for row in answer["transitions"]] == [(2.0, "fire")]


@pytest.mark.parametrize(
    "points",
    [
        {"one": [["density", "alarm", "humidity"]]},
        {"one": [["density", "alarm"]]},
        {"one": [["density", "alarm", "fault", "more"]]},
        {"one": []},
        {"two": [["density", "alarm", "fault"]]},
    ],
)
def test_as_many_values_of_other_points_are_not_read(tmp_path, site, points):
    """Three values where the site has three points prove nothing; they are left out, and told."""
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 9.0)], points=points)
    told = gengfu("replay", path, "--site", site, "--json")
    answer = json.loads(told.stdout)
    assert (answer["scans"], answer["skipped"], answer["transitions"], told.returncode) == (0, 2, [], 1)
    assert told.stderr.count("one") >= 1


def test_a_recording_that_does_not_say_its_points_needs_its_own_site_file(tmp_path, site):
    """The very file, by its digest; other rules may be compared with it all the same."""
    events = [scan(0.0, 1.0), scan(1.0, 4.0), scan(2.0, 4.0)]
    own = hashlib.sha256(site.read_bytes()).hexdigest()
    new = tmp_path / "new.yaml"
    new.write_text(site.read_text().replace("limit: 5", "limit: 3"))
    path = recorded(tmp_path, events, points=None, site_sha256=own)
    told = gengfu("replay", path, "--site", site, "--rules", new, "--json")
    assert [(row["alarm"], row["in"]) for row in json.loads(told.stdout)["transitions"]] == [("fire", "new")]
    told = gengfu("replay", path, "--site", new, "--json")
    assert (told.returncode, told.stdout) == (1, "")
    assert "does not say which points" in told.stderr


@pytest.mark.parametrize(
    "points", [[], {"one": 5}, {"one": [5]}, {"one": [["a", 5]]}, {"one": [["a", "a"]]}, "one", None]
)
def test_a_header_whose_points_are_none_is_refused(tmp_path, points):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"gengfu_recording": 1, "points": points}) + "\n")
    with pytest.raises(ToolError, match="the points of the header"):
        load(path)


def test_recorded_bytes_are_played_by_the_driver_and_become_a_golden_case(simulated, tmp_path, site):
    """Stand-alone: values and bytes of a line; without the values, the bytes alone give the same."""
    line = simulated()
    site.write_text(SITE.format(port=line.path))
    path = tmp_path / "line.jsonl"
    told = gengfu("record", "line-1", "--stand-alone", site, "--for", "1s", "-o", path)
    assert told.returncode == 0, told.stderr
    assert rows(path)[0]["points"] == {"one": [*POINTS["one"], ["temperature"]], "tilt": [["x", "y"]]}
    assert {"tx", "rx", "values"} <= {key for row in rows(path) for key in row}
    assert gengfu("record", "line-1", "--stand-alone", site, "-o", path).returncode == 1  # never overwritten
    bare = tmp_path / "bytes.jsonl"
    kept = [line for line in path.read_text().splitlines(keepends=True) if '"values"' not in line]
    bare.write_text("".join(kept))
    answer = json.loads(gengfu("replay", bare, "--site", site, "--json").stdout)
    assert answer["from_bytes"] == answer["scans"] > 0
    told = gengfu("replay", bare, "--site", site, "--golden", "tilt")
    (case,) = yaml.safe_load(told.stdout)["golden"]
    assert (case["address"], case["values"]) == (0, {"x": 2.013, "y": -0.512})
    assert case["exchanges"][0]["request"] == "770500000409"


async def test_the_running_gateway_is_recorded_without_asking_more(simulated, tmp_path):
    line = simulated()
    path = tmp_path / "live.jsonl"
    async with Gateway(tmp_path, line.path) as gateway:
        told = await asyncio.to_thread(gengfu, "record", "one", "--socket", gateway.socket, "--for", "2s", "-o", path)
        assert told.returncode == 0, told.stderr
        port = tmp_path / "port.jsonl"
        told = await asyncio.to_thread(
            gengfu, "record", line.path, "--socket", gateway.socket, "--for", "1s", "-o", port
        )
        assert told.returncode == 0, told.stderr
        status = json.loads((await asyncio.to_thread(gengfu, "status", "--socket", gateway.socket, "--json")).stdout)
    header, *events = rows(path)
    assert (header["gengfu_recording"], header["gateway"], header["what"]) == (1, "test-01", "one")
    assert header["personal"]
    assert header["points"]["one"][0] == POINTS["one"][0]
    assert {event["device"] for event in events if "device" in event} == {"one"}
    assert all(0 <= event["t"] <= 5 for event in events)
    assert status["parts"]["bus line-1"]["lent"]["exchanges"] == 0
    assert {event["device"] for event in rows(port)[1:] if "device" in event} == {"one", "tilt"}  # named by its port


def test_a_recording_that_breaks_off_is_read_up_to_there(tmp_path, site):
    path = recorded(tmp_path, [scan(0.0, 1.0), scan(1.0, 9.0)])
    path.write_text(path.read_text() + '{"t": 2.0, "dev')
    assert len(load(path).events) == 2


@given(st.binary(max_size=200))
def test_no_file_makes_the_reader_fall(tmp_path_factory, data):
    """Whatever follows the header: events, or a `ToolError`."""
    path = tmp_path_factory.mktemp("r") / "x.jsonl"
    path.write_bytes(b'{"gengfu_recording": 1}\n' + data + b"\n")
    events = None
    with contextlib.suppress(ToolError):
        events = load(path).events
    assert events is None or all("t" in event for event in events)


def test_a_recording_that_never_began_leaves_no_file(tmp_path):
    """Nobody answers at the socket; the next try with the same name must not be refused for it."""
    path = tmp_path / "r.jsonl"
    for _ in range(2):
        told = gengfu("record", "--socket", tmp_path / "nobody", "-o", path)
        assert told.returncode == 1
        assert "no gateway answers" in told.stderr
    assert not path.exists()
