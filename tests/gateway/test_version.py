"""What the daemon notes and reads of its own version, for systemd/trial.sh and for the person on site."""

import sys

import pytest

from gateway import version


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A version of ours, reached through `current` as the service does, and its folders."""
    (tmp_path / "opt/2.0").mkdir(parents=True)
    (tmp_path / "opt/current").symlink_to("2.0")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "opt/current"))
    for kind in ("state", "runtime"):
        (tmp_path / kind).mkdir()
        monkeypatch.setenv(f"{kind.upper()}_DIRECTORY", str(tmp_path / kind))
    return tmp_path


def marks(installed, kind="state"):
    return sorted(path.name for path in (installed / kind).iterdir())


def test_a_version_that_has_run_is_noted_by_the_name_of_its_folder(installed):
    for _ in range(2):
        version.prove()
        assert marks(installed) == marks(installed, "runtime") == ["proved-2.0"]


def test_the_mark_of_the_version_before_becomes_that_of_this_one(installed):
    """One name is left, and it is the same file: nothing new was needed on the disk."""
    (installed / "state/proved-1.0").touch()
    (installed / "state/proved").write_text("0.9")
    files = {path.stat().st_ino for path in (installed / "state").iterdir()}
    version.prove()
    assert marks(installed) == ["proved-2.0"]
    assert (installed / "state/proved-2.0").stat().st_ino in files


def test_without_a_service_manager_nothing_is_noted(installed, monkeypatch):
    for kind in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(kind)
    version.prove()
    assert marks(installed) == marks(installed, "runtime") == []


def test_a_disk_that_takes_no_note_is_told_and_stops_nothing(installed, monkeypatch, caplog):
    """It is noted for as long as this run lasts."""
    monkeypatch.setenv("STATE_DIRECTORY", str(installed / "gone"))
    version.prove()
    assert "cannot be noted" in caplog.text
    assert marks(installed, "runtime") == ["proved-2.0"]


def test_a_version_that_was_left_is_named_until_there_is_none(installed):
    assert version.undone() == ""
    (installed / "opt/undone").write_text("3.0\n")
    assert version.undone() == "3.0"


def test_a_version_that_runs_was_not_left(installed):
    """The way back was cut off after its first step, and the next start came to a minute."""
    (installed / "opt/undone").write_text("2.0\n")
    assert version.undone() == ""
