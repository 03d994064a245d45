"""Files that people and tools write, as fuzzing targets: device templates, tests of rules, recordings. The site file is in
`targets`.

Each mistake is told with its line in both languages, and nothing else escapes.
"""

import json
import tempfile
from functools import cache
from pathlib import Path

from drivers import DRIVERS
from gateway import config
from gateway.errors import ConfigError
from gateway.judged import judged
from gateway.site import scenarios
from gateway.site.template import Templates
from gateway.tools.channel import ToolError
from gateway.tools.recording import load
from gateway.tools.replaying import played, recorded_points, replay
from rules import series
from tests.fuzz.mutate import Target

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo"
YAML_WORDS = (
    b"\n", b"  ", b"- ", b": ", b"{", b"}", b"[", b"&a ", b"*a", b"!!python/object ", b"<<: ", b"|", b"'", b'"', b"\t",
    b"%YAML 1.1\n", b"---\n", b"...", b"? ", b"0x", b".inf", b"2026-01-01", b"\xff\xfe", b"[" * 500, b"{a: " * 300, b"1e999",
)  # fmt: skip


def contents(*patterns: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern)))


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="gengfu-fuzz-"))


def _told(mistakes) -> object:
    assert mistakes
    assert all(mistake.zh and mistake.en and mistake.line >= 0 for mistake in mistakes)
    return len(mistakes), mistakes[0].en[:40]


def _template(data: bytes) -> object:
    (folder() / "model.yaml").write_bytes(data)
    templates = Templates([folder()], DRIVERS)
    made = templates.get("model")
    if made is None:
        return _told(templates.mistakes)
    assert not templates.mistakes
    return made.driver, sum(len(points) for _, _, points in made.groups)


@cache
def _rules():
    return judged(config.load(DEMO / "site.yaml"))


def _scenario(data: bytes) -> object:
    path = folder() / "scenario.yaml"
    path.write_bytes(data)
    try:
        found = scenarios.load(path, _rules())
    except ConfigError as error:
        return _told(error.mistakes)
    return "loaded", len(found)


def _series(data: bytes) -> object:
    try:
        found = series.parse(data.decode("utf-8", "replace"))
    except ValueError as error:
        return str(error)[:12]
    assert 0 < len(found) <= series.LONGEST
    return len(found).bit_length(), {None if entry is None else entry.quality for entry in found} == {None}


def _recording(data: bytes) -> object:
    path = folder() / "field.jsonl"
    path.write_bytes(data)
    try:
        recording = load(path)
        site = _rules().site
        replayed = replay(recording, site, recorded_points(recording, site))
        played(recording, _rules().site)
    except ToolError as error:
        return error.text.en.rpartition(":")[2][:30]
    return "replayed", len(recording.events), type(replayed).__name__


def _recorded() -> bytes:
    """A recording of the demo's first device, with every kind of event."""
    site = _rules().site
    device, group = site.devices[0], site.devices[0].groups[0]
    count = len(group.points)
    rows = (
        {
            "gengfu_recording": 1,
            "started": 1.79e9,
            "boot": "b",
            "gateway": "g",
            "site_sha256": "0",
            "what": device.id,
            "points": {device.id: [[point.name for point in group.points]]},
        },
        {"t": 0.5, "device": device.id, "group": 0, "values": [0] * count, "qualities": [0] * count},
        {"t": 1.0, "bus": device.bus, "tx": "010300000002c40b"},
        {"t": 1.1, "bus": device.bus, "rx": "01030400150000ebf7"},
        {"t": 2.0, "device": device.id, "group": 0, "values": [None] * count, "qualities": [32] * count},
        {"t": 3.0, "command": {"action": "acknowledge", "alarm": "fire-1203", "who": "w", "why": "y"}},
    )
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FILES = (
    Target(
        "recording",
        _recording,
        (_recorded(),),
        1_500,
        words=(
            b'"t": ',
            b"-1",
            b"1e999",
            b"null",
            b"[]",
            b"{}",
            b'"values"',
            b'"points": {"a": [["b"]]}',
            b'"rx": ""',
            b"\n",
            b'"group": 9',
            b"NaN",
            b"true",
            b"[" * 900,
        ),
    ),
    Target("template", _template, contents("drivers/templates/*.yaml"), 1_000, words=YAML_WORDS),
    Target("scenario", _scenario, contents("examples/demo/scenarios/*.yaml"), 1_200, words=YAML_WORDS),
    Target(
        "series",
        _series,
        (b"0x10 5+1x10 _x3 stale 1?", b"'text' usual bad(refused)x3 -.5e3-2x7 true?(jumping)"),
        2_500,
        words=(b"x", b"x99999 ", b"1e308+1e308x9 ", b"_", b"stale(", b")", b"?", b"'", b"9" * 400),
    ),
)
