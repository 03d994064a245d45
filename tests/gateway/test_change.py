"""What differs between two sites, and what has to be started again for it."""

from pathlib import Path

import pytest

from gateway import config
from gateway.change import compare
from gateway.judged import judged

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "site.yaml"
TEXT = DEMO.read_text(encoding="utf-8")


def change(tmp_path, *pairs):
    """From the demo's site to the one with these replacements."""
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "site.yaml"
    path.write_text(TEXT, encoding="utf-8")
    old = judged(config.load(path))
    path.write_text(text, encoding="utf-8")
    new = judged(config.load(path))
    return compare(old.site, new.site, old.specs, new.specs)


def test_the_same_file_is_no_change(tmp_path):
    found = change(tmp_path)
    assert found.nothing
    assert found.to_json() == {}
    assert ("gateway", 0) in found.same


def test_what_only_people_read_starts_nothing_again(tmp_path):
    found = change(tmp_path, ('floor: "3"', 'floor: "4"') if 'floor: "3"' in TEXT else ("zh: ", "zh: 新"))
    assert found.devices.changed == ("smoke-1203",)
    assert ("smoke-1203", 0) in found.same
    assert found.buses == ((), (), ())


def test_a_bus_starts_again_for_its_own_description_alone(tmp_path):
    found = change(tmp_path, ("parity: N", "parity: E"))
    assert found.buses.changed == ("line-1",)
    assert found.devices.changed == ()
    assert found.same >= {("gateway", 0), ("site", 0)}


def test_a_device_takes_its_bus_along(tmp_path):
    found = change(tmp_path, ("address: 2\n", "address: 77\n"))
    assert found.buses.changed == ("line-1",)
    assert found.devices.changed == ("smoke-1204",)
    assert {"smoke-1203", "lift-3"} <= {name for name, _ in found.same}
    assert "smoke-1204" not in {name for name, _ in found.same}


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("id: demo-01", "id: demo-02", "gateway.id"), ("directory: journal", "directory: elsewhere", "journal.directory")],
)
def test_what_no_running_gateway_can_change_is_refused_in_both_languages(tmp_path, old, new, word):
    (text,) = change(tmp_path, (old, new)).refused
    assert word in text.en
    assert word in text.zh


def test_an_uplink_that_is_equal_keeps_its_session(tmp_path):
    assert change(tmp_path, ("zh: ", "zh: 新")).uplinks == ((), (), ())
    assert change(tmp_path, ("id: district", "id: city")).uplinks == (("city",), (), ("district",))


def test_other_sections_are_named(tmp_path):
    found = change(tmp_path, ("gateway:", "calendar: {utc_offset_h: 9}\ngateway:"))
    assert found.other == ("utc_offset_s",)
    assert not found.nothing
