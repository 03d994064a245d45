"""Files that people and tools write, as fuzzing targets: device templates and tests of rules. The site file is in `targets`.

Each mistake is told with its line in both languages, and nothing else escapes.
"""

import tempfile
from functools import cache
from pathlib import Path

from drivers import DRIVERS
from gateway import config
from gateway.errors import ConfigError
from gateway.judged import judged
from gateway.site import scenarios
from gateway.site.template import Templates
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


FILES = (
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
