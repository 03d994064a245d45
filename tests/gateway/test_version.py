"""What the daemon notes and reads of its own version, for systemd/trial.sh and for the person on site."""

import sys

import pytest

from gateway import version


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A version of ours, reached through `current` as the service does, and its state folder."""
    (tmp_path / "opt/2.0").mkdir(parents=True)
    (tmp_path / "opt/current").symlink_to("2.0")
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "opt/current"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


def test_a_version_that_has_run_is_noted_by_the_name_of_its_folder(installed):
    version.prove()
    assert (installed / "state/proved").read_text() == "2.0\n"
    assert [path.name for path in (installed / "state").iterdir()] == ["proved"]


def test_without_a_service_manager_nothing_is_noted(installed, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY")
    version.prove()
    assert not list((installed / "state").iterdir())


def test_a_disk_that_takes_no_note_is_told_and_stops_nothing(installed, monkeypatch, caplog):
    monkeypatch.setenv("STATE_DIRECTORY", str(installed / "gone"))
    version.prove()
    assert "cannot be noted" in caplog.text


def test_a_version_that_was_left_is_named_until_there_is_none(installed):
    assert version.undone() == ""
    (installed / "opt/undone").write_text("3.0\n")
    assert version.undone() == "3.0"
