"""`make install` and `make uninstall`, staged into a folder: what an installer does on the box, without root."""

import os
import re
import stat
import subprocess
import threading

from gateway import __version__
from tests.systemd.conftest import ROOT, gengfu, make

SITE = "etc/gengfu/site.yaml"


def folders(destination):
    """Versions that are there, and which is `current`."""
    opt = destination / "opt/gengfu"
    kept = {entry.name for entry in opt.iterdir() if entry.is_dir() and not entry.is_symlink()}
    return kept, os.readlink(opt / "current")


def damage(path, pattern, replacement):
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def test_the_installed_command_runs(first):
    """From its own environment, without the source tree."""
    assert "Gengfu 更夫" in gengfu(first, "--help").stdout
    assert folders(first) == ({__version__}, __version__)
    assert os.readlink(first / "usr/local/bin/gengfu") == "/opt/gengfu/current/bin/gengfu"


def test_the_first_site_file_is_accepted(first):
    done = gengfu(first, "check", str(first / SITE))
    assert done.returncode == 0, done.stderr


def test_what_the_first_site_file_shows_as_examples_is_right(first, tmp_path):
    """Uncommented, only the certificates are missing."""
    head, mark, body = (first / SITE).read_text(encoding="utf-8").partition("\ngateway:")
    body = re.sub(r"^(buses|devices|alarms|uplinks): \[\]", r"\1:", body, flags=re.MULTILINE)
    path = tmp_path / "site.yaml"
    path.write_text(head + mark + re.sub(r"^#  ", "  ", body, flags=re.MULTILINE), encoding="utf-8")
    done = gengfu(first, "check", str(path))
    mistakes = [line for line in done.stderr.splitlines() if line.startswith(str(path))]
    assert [re.search(r"uplinks\[0\]\.(\w+):", line)[1] for line in mistakes] == ["ca", "certificate", "key"]


def test_only_what_the_daemon_needs_is_installed(first):
    """The packages of requirements-runtime.lock and Gengfu: no tests, no demo, no district."""
    there = first.glob("opt/gengfu/current/lib/python3*/site-packages/*.dist-info")
    names = {entry.name.partition("-")[0].lower().replace("_", "-") for entry in there}
    locked = set(re.findall(r"^([a-z0-9-]+)==[^;\n]*$", (ROOT / "requirements-runtime.lock").read_text(), re.MULTILINE))
    assert names == locked | {"gengfu"}
    assert {"apsw", "pydantic"} <= names
    assert not names & {"pytest", "aiomqtt", "paho-mqtt", "pymodbus", "cryptography", "mypy"}


def test_the_daemon_starts_without_what_only_people_need(first):
    """`run` loads neither typer nor rich, and says what is wrong with a site that is not there (exit 78)."""
    code = (
        "import sys; sys.modules['typer'] = sys.modules['rich'] = None\n"
        "sys.argv = ['gengfu', 'run', '/nonexistent/site.yaml']\nfrom gateway.cli import main; main()"
    )
    python = first / "opt/gengfu/current/bin/python"
    done = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 78, done.stderr
    assert "/nonexistent/site.yaml" in done.stderr


def test_the_runtime_lock_is_what_is_tested(first):
    """Each version and hash of it stands in requirements.lock."""

    def entries(name):
        text = (ROOT / name).read_text()
        found = re.findall(r"^(\S+==\S+)((?:.*--hash|.*\\\n|\s+--hash\S+)*)", text, re.MULTILINE)
        return {package: frozenset(re.findall(r"sha256:\w+", hashes)) for package, hashes in found}

    tested, installed = entries("requirements.lock"), entries("requirements-runtime.lock")
    assert installed
    assert all(installed.values())
    assert installed.items() <= tested.items()


def test_nobody_but_the_owner_can_write_what_is_installed(first):
    """Neither by its mode nor through a second name in somebody's cache."""
    for folder, _, names in os.walk(first / "opt"):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            found = os.lstat(path)
            if not stat.S_ISLNK(found.st_mode):
                assert not found.st_mode & 0o022, path
            assert found.st_nlink == 1 or stat.S_ISDIR(found.st_mode), path


def test_an_upgrade_keeps_configuration_and_journal(installed, source):
    """The new version beside the old one; site file and journal as they were."""
    journal = installed / "var/lib/gengfu/journal"
    journal.mkdir(parents=True)
    (journal / "alarm.db").write_bytes(b"what happened")
    (installed / SITE).write_text("# mine\n" + (installed / SITE).read_text(encoding="utf-8"), encoding="utf-8")
    before = (installed / SITE).read_bytes()
    seen, stop = set(), threading.Event()

    def watch():
        current = installed / "opt/gengfu/current"
        while not stop.is_set():
            seen.add((os.readlink(current), (current / "bin/gengfu").exists()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        make("install", installed, source)
    finally:
        stop.set()
        watcher.join()
    new = f"9.{__version__}"
    assert folders(installed) == ({__version__, new}, new)
    assert os.readlink(installed / "opt/gengfu" / new / "trial.0") == __version__, "what to go back to"
    assert gengfu(installed, "--help").returncode == 0
    assert (installed / SITE).read_bytes() == before
    assert (journal / "alarm.db").read_bytes() == b"what happened"
    assert seen == {(__version__, True), (new, True)} or seen == {(__version__, True)}, "the switch is one step"


def test_the_same_version_again_is_not_written_over_the_running_one(installed):
    running = (installed / "opt/gengfu/current/bin/gengfu").stat().st_ino
    make("install", installed)
    again = f"{__version__}-2"
    assert folders(installed) == ({__version__, again}, again)
    assert (installed / f"opt/gengfu/{__version__}/bin/gengfu").stat().st_ino == running


def test_a_file_with_a_wrong_hash_changes_nothing(installed, source):
    """What was there before goes on; nothing half-made stays."""
    lock = source / "requirements-runtime.lock"
    lock.write_text(re.sub(r"sha256:\w{60}", "sha256:" + "0" * 60, lock.read_text()))
    done = make("install", installed, source, check=False)
    assert done.returncode != 0
    assert "hash" in done.stdout.lower()
    assert folders(installed) == ({__version__}, __version__)
    assert gengfu(installed, "check", str(installed / SITE)).returncode == 0


def test_a_version_that_refuses_the_site_is_not_switched_to(installed, source):
    """The next start would find no usable site file; the installer says so instead."""
    damage(installed / SITE, r"(?m)^(gateway: \{id: gengfu-01)", r"\1, place: {grid: g}")
    damage(source / "gateway/site/schema.py", r'place: PlaceShape = field\("网关', 'spot: PlaceShape = field("网关')
    damage(source / "gateway/config.py", r"site_rules.place\(gateway.place\)", "site_rules.place(gateway.spot)")
    done = make("install", installed, source, check=False)
    assert done.returncode != 0
    assert "refuses" in done.stdout
    assert "gateway.place" in done.stdout
    assert folders(installed) == ({__version__}, __version__)


def test_uninstall_keeps_journal_and_configuration(installed):
    """Everything else goes, and it says what stays."""
    journal = installed / "var/lib/gengfu/journal"
    journal.mkdir(parents=True)
    (journal / "alarm.db").write_bytes(b"what happened")
    (installed / "opt/other").mkdir()
    done = make("uninstall", installed)
    assert "/var/lib/gengfu" in done.stdout
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()}
    assert files == {SITE, "var/lib/gengfu/journal/alarm.db"}
    assert (installed / "opt/other").exists()
    assert not (installed / "opt/gengfu").exists()
    assert make("uninstall", installed).returncode == 0, "again does no harm"
