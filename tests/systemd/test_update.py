"""An update that is cut off anywhere, and one that is bad (R30): the old version or the new one is there, whole, and runs.

install.sh and trial.sh as they are, with versions of a few lines (`uv` is played by a script) and every command they call
behind one that can kill. Power cuts: what was not synced is gone, or its names are there and its bytes are not.
The same on a booted systemd, with the real thing: test_booted_update.py.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import version

ROOT = Path(__file__).resolve().parents[2]
OPT, UNIT = "opt/gengfu", "usr/local/lib/systemd/system/gengfu.service"
SITE, JOURNAL = "etc/gengfu/site.yaml", "var/lib/gengfu/journal/alarm.db"
STATE, RUN = "var/lib/gengfu", "run/gengfu"
STEP = 1 if os.environ.get("GENGFU_FAULTS") == "full" else 7
"""Each how manieth command is the last one."""

UV = """#!/bin/sh
version=$(sed -n 's/^__version__ = "\\(.*\\)"$/\\1/p' gateway/__init__.py)
for last in "$@"; do :; done
case "$1 $2" in
  build*) shift 8; touch "$1/gengfu.whl" ;;
  venv*) mkdir -p "$last/bin"; echo "home = /usr/bin" >"$last/pyvenv.cfg" ;;
  "pip install") cd "$BOX/opt/gengfu/.new/bin"; sed "s/VERSION/$version/" "$GENGFU" >gengfu; chmod +x gengfu ;;
esac
"""
GENGFU = """#!/usr/bin/python3 -S
import signal, socket, sys, time
if sys.argv[1] == "--version":
    print("VERSION")
if sys.argv[1] == "run":
    if "bad" in "VERSION":
        sys.exit("VERSION does not run")
    signal.alarm(20)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    here = sys.argv[2].rpartition("/")[0]
    with socket.socket(socket.AF_UNIX) as one:
        if "deaf" not in "VERSION":
            one.bind(here + "/control.sock")
        time.sleep(30)
"""
SHIM = """#!/bin/sh
read -r step <"$STEPS/count"
step=$((step + 1))
echo $step >"$STEPS/count"
if [ $step = "${LAST:-0}" ]; then kill -9 0; fi
if [ NAME != sync ]; then exec /usr/bin/NAME "$@"; else # nothing of this machine is synced: `disk` is the disk
  if [ $# != 0 ]; then /usr/bin/find "$@" -maxdepth 0 -type f -printf '%i\\n' >>"$STEPS/synced"; exit; fi
  /usr/bin/find "$BOX" -type f -printf '%i\\n' >>"$STEPS/synced"
  /usr/bin/rm -rf "$STEPS/disk" && /usr/bin/cp -a "$BOX" "$STEPS/disk"
fi
"""


@contextmanager
def full_disk():
    """No file gets another byte, in this process and in what it starts; names can be made, moved and removed. (Python ignores
    the signal for it; the shell hears of it as an error.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


COMMANDS = (
    "mv",
    "ln",
    "rm",
    "cp",
    "mkdir",
    "sed",
    "sync",
    "chmod",
    "readlink",
    "head",
    "mktemp",
    "install",
    "cmp",
    "tail",
)


class Box:
    """A machine's folder with one version installed, and the scripts' world around it."""

    def __init__(self, folder):
        self.folder, self.root, self.steps = folder, folder / "box", folder / "steps"

    def copy(self, name):
        """Another one, beside it or elsewhere."""
        other = Box(self.folder.parent / name)
        subprocess.run(["cp", "-a", self.folder, other.folder], check=True)
        return other

    def make(self):
        """With version 1.0, proved, a site and a journal."""
        folder = self.folder
        for one in (self.root, self.steps, self.steps / "bin"):
            one.mkdir(parents=True)
        for name in COMMANDS:
            self._script(f"steps/bin/{name}", SHIM.replace("NAME", name))
        self._script("steps/bin/systemctl", '#!/bin/sh\necho "$@" >>"$STEPS/systemctl"\n')
        self._script("uv", UV)
        (folder / "quiet").mkdir()
        self._script("quiet/systemctl", "#!/bin/sh\n")
        (folder / "gengfu").write_text(GENGFU)
        shutil.copytree(ROOT / "systemd", folder / "source/systemd")
        (folder / "source/gateway").mkdir()
        self.version("1.0")
        assert self.install().returncode == 0
        for name, text in ((SITE, b"# mine\n"), (JOURNAL, b"what happened")):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(text)
        (self.root / RUN).mkdir(parents=True)
        self.prove("1.0")
        self.ended()

    def _script(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def version(self, version):
        """What the next installation is made of; each version has a unit of its own."""
        (self.folder / "source/gateway/__init__.py").write_text(f'__version__ = "{version}"\n')
        unit = (ROOT / "systemd/gengfu.service").read_text() + f"# {version}\n"
        (self.folder / "source/systemd/gengfu.service").write_text(unit)

    def run(self, script, verb, last=0, **more):
        """One of the scripts, killed at its `last`th command."""
        (self.steps / "count").write_text("0\n")
        (self.steps / "synced").write_text("")
        shutil.rmtree(self.steps / "disk", ignore_errors=True)
        subprocess.run(["cp", "-a", self.root, self.steps / "disk"], check=True)
        durable = {str(os.lstat(path).st_ino) for path in self.root.rglob("*")}
        there = {
            "PATH": f"{self.steps}/bin:/usr/bin:/bin", "STEPS": str(self.steps), "BOX": str(self.root), "LAST": str(last),
            "DESTDIR": str(self.root), "UV": str(self.folder / "uv"),
            "PYTHON": "/usr/bin/python3", "GENGFU": str(self.folder / "gengfu"), **more,
        }  # fmt: skip
        # A socket's path is at most 107 bytes, and the folders of tests are deep.
        with tempfile.TemporaryDirectory(prefix="gengfu-") as aside:
            done = subprocess.run(
                ["sh", script, verb], env=there | {"TMPDIR": aside}, cwd=self.folder, start_new_session=True,
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            )  # fmt: skip
        self.durable = durable | set((self.steps / "synced").read_text().split())
        return done

    def install(self, last=0):
        return self.run(self.folder / "source/systemd/install.sh", "install", last)

    def trial(self, verb, last=0, **more):
        return self.run(self.root / OPT / "current/service/trial.sh", verb, last, **more)

    def bare_trial(self, verb, **more):
        """Without the script's world around it, which writes itself."""
        quiet = self.folder / "quiet"
        there = {"PATH": f"{quiet}:/usr/bin:/bin", "DESTDIR": str(self.root), **more}
        script = self.root / OPT / "current/service/trial.sh"
        return subprocess.run(["sh", script, verb], env=there, text=True, capture_output=True, timeout=60)

    def commands(self):
        return int((self.steps / "count").read_text())

    def current(self):
        return os.readlink(self.root / OPT / "current")

    def prove(self, name):
        """As the daemon of that version does after a minute."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "prefix", str(self.root / OPT / name))
            for kind, folder in (("STATE_DIRECTORY", STATE), ("RUNTIME_DIRECTORY", RUN)):
                patch.setenv(kind, str(self.root / folder))
            version.prove()

    def ended(self):
        """The service manager removes what lies in the folder of this run."""
        shutil.rmtree(self.root / RUN)
        (self.root / RUN).mkdir()

    def asked(self):
        """What the service manager was asked for."""
        path = self.steps / "systemctl"
        return path.read_text().splitlines() if path.exists() else []

    def cut(self, names):
        """The power goes: what was not synced is gone; with `names` only its bytes are."""
        if not names:
            shutil.rmtree(self.root)
            shutil.copytree(self.steps / "disk", self.root, symlinks=True)
            return
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and str(path.stat().st_ino) not in self.durable:
                path.write_bytes(b"")

    def judge(self):
        """The next start finds one version, whole, with a unit; journal and configuration are as they were."""
        name = self.current()
        command = self.root / OPT / "current/bin/gengfu"
        told = subprocess.run([command, "--version"], text=True, capture_output=True, timeout=20)
        assert told.stdout.strip() == name
        assert (self.root / UNIT).read_text().splitlines()[-1] in ("# 1.0", "# 2.0"), "a unit is there, whole"
        assert self.trial("begin").returncode == 0
        assert (self.root / UNIT).read_bytes() == (
            self.root / OPT / self.current() / "service/gengfu.service"
        ).read_bytes()
        assert (self.root / SITE).read_bytes() == b"# mine\n"
        assert (self.root / JOURNAL).read_bytes() == b"what happened"
        return name


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """One with 1.0, and one with 2.0 after it, switched to and on trial."""
    first = Box(tmp_path_factory.mktemp("update") / "first")
    first.make()
    second = first.copy("second")
    second.version("2.0")
    assert second.install().returncode == 0
    assert second.current() == "2.0"
    return first, second


@pytest.fixture
def box(boxes, tmp_path):
    return boxes[0].copy(tmp_path / "box")


@pytest.fixture
def updated(boxes, tmp_path):
    return boxes[1].copy(tmp_path / "box")


def copies(box, how_many):
    """The same box several times, to be damaged each in its own way."""
    for number in range(how_many):
        shutil.rmtree(box.folder.parent / f"copy-{number}", ignore_errors=True)
        yield box.copy(f"copy-{number}")


def test_an_update_is_cut_off_at_every_step(box):
    """Killed, and without power: 1.0 or 2.0 is there, never anything else; the same installation once more succeeds."""
    box.version("2.0")
    (whole,) = copies(box, 1)
    assert whole.install().returncode == 0
    last, found = whole.commands(), []
    for step in range(1, last + 1, STEP):
        for how, copy in zip(("killed", "gone", "names"), copies(box, 3), strict=True):
            done = copy.install(last=step)
            assert done.returncode == -signal.SIGKILL, (step, done.stdout)
            if how != "killed":
                copy.cut(names=how == "names")
            found.append(copy.judge())
            if how == "killed":
                done = copy.install()
                assert done.returncode == 0, (step, done.stdout)
                assert copy.current().startswith("2.0")
    print(f"{len(found)} states of {last} commands: {found.count('1.0')} old, {found.count('2.0')} new")  # noqa: T201
    assert set(found) == {"1.0", "2.0"}


def test_a_version_that_never_runs_for_a_minute_is_left_after_three_starts(updated):
    for _ in range(3):
        assert updated.trial("begin").returncode == 0
        assert updated.trial("end", SERVICE_RESULT="exit-code", EXIT_STATUS="1").returncode == 0
        assert updated.current() == "2.0"
    assert "1.0" in updated.trial("begin").stdout
    assert updated.current() == "1.0"
    assert (updated.root / OPT / "undone").read_text() == "2.0\n"
    assert updated.asked() == ["daemon-reload"], "the unit is the old one's again"
    assert updated.judge() == "1.0"


@pytest.mark.parametrize(
    ("result", "status", "asked"),
    [("exit-code", "78", ["--no-block restart gengfu.service", "daemon-reload"]), ("timeout", "0", ["daemon-reload"])],
    ids=["no usable site", "hung"],
)
def test_what_trying_again_cannot_mend_is_left_at_once(updated, result, status, asked):
    """After 78 the service manager would not start anything again."""
    updated.trial("begin")
    assert updated.trial("end", SERVICE_RESULT=result, EXIT_STATUS=status).returncode == 0
    assert updated.current() == "1.0"
    assert updated.asked() == asked
    updated.trial("end", SERVICE_RESULT=result, EXIT_STATUS=status)
    assert updated.asked() == asked, "the old one is not on trial"


def test_a_way_back_that_the_disk_holds_up_keeps_no_gateway_down(updated):
    """The service manager gives it 20 s. Who was switched to has been asked for by then: after 78 nobody else would."""
    updated.trial("begin")
    ended = {"SERVICE_RESULT": "exit-code", "EXIT_STATUS": "78"}
    (whole,) = copies(updated, 1)
    assert whole.trial("end", **ended).returncode == 0
    left = 0
    for step in range(1, whole.commands() + 1):
        (copy,) = copies(updated, 1)
        copy.trial("end", last=step, **ended)
        if copy.current() == "1.0":
            left += 1
            assert "--no-block restart gengfu.service" in copy.asked(), step
    assert left


def test_the_old_version_that_hangs_when_it_is_stopped_does_not_undo_the_new_one(updated):
    """That may be what the update mends: the new one was never started."""
    assert updated.trial("end", SERVICE_RESULT="timeout", EXIT_STATUS="KILL").returncode == 0
    assert updated.trial("end", SERVICE_RESULT="exit-code", EXIT_STATUS="78").returncode == 0
    assert updated.current() == "2.0"
    assert updated.asked() == []
    updated.trial("begin")
    assert updated.trial("end", SERVICE_RESULT="timeout", EXIT_STATUS="KILL").returncode == 0
    assert updated.current() == "1.0"


@pytest.mark.parametrize(
    ("job", "left"), [("4711", "2.0"), ("0", "1.0")], ids=["stopped by somebody", "ends by itself"]
)
def test_a_start_that_somebody_stopped_says_nothing_of_the_version(updated, job, left):
    """Somebody who edits the site file after an update restarts it within its minute, again and again; a shutdown stops it too."""
    (updated.steps / "bin/systemctl").write_text(
        f'#!/bin/sh\necho "$@" >>"$STEPS/systemctl"\n[ $1 != show ] || echo {job}\n'
    )
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
        assert updated.trial("end", SERVICE_RESULT="success", EXIT_STATUS="0").returncode == 0
    assert updated.current() == left


def test_a_version_that_ran_for_a_minute_stays(updated):
    updated.trial("begin")
    updated.prove("2.0")
    updated.ended()
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
    assert updated.current() == "2.0"
    assert not (updated.root / OPT / "undone").exists()


def test_a_good_version_is_not_left_because_the_disk_is_full(updated):
    """For weeks, with a power cut after each of its starts: that it runs needs no byte."""
    with full_disk():
        for _ in range(5):
            assert updated.bare_trial("begin").returncode == 0
            updated.prove("2.0")
            updated.ended()
    assert updated.current() == "2.0"


def test_a_good_version_is_not_left_because_the_journals_disk_is_dead(updated):
    """Nothing can be noted there, not even a name: what it noted for this run counts when it ends."""
    shutil.rmtree(updated.root / STATE)
    (updated.root / STATE).write_text("no folder")
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
        updated.prove("2.0")
        assert updated.trial("end", SERVICE_RESULT="signal", EXIT_STATUS="KILL").returncode == 0
        updated.ended()
    assert updated.current() == "2.0"


@pytest.mark.parametrize(
    ("starts", "result", "status"),
    [(3, "exit-code", "1"), (1, "exit-code", "78"), (1, "timeout", "0")],
    ids=["ends", "no usable site", "hung"],
)
def test_a_bad_version_is_left_on_a_full_disk_too(updated, starts, result, status):
    """And the gateway that runs again can say so."""
    with full_disk():
        for _ in range(starts):
            assert updated.current() == "2.0"
            assert updated.bare_trial("begin").returncode == 0
            assert updated.bare_trial("end", SERVICE_RESULT=result, EXIT_STATUS=status).returncode == 0
        assert updated.bare_trial("begin").returncode == 0
        assert updated.current() == "1.0"
        asked = updated.bare_trial("end", SERVICE_RESULT=result, EXIT_STATUS=status)
        assert asked.returncode == 0
    assert (updated.root / OPT / "undone").read_text() == "2.0\n"
    assert updated.judge() == "1.0"
    assert (updated.root / UNIT).read_text().splitlines()[-1] == "# 1.0", "as soon as there is room"


def test_a_start_beside_a_running_gateway_says_nothing_of_the_version(updated):
    """Somebody runs one by hand, and the service manager tries for hours (75)."""
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
        assert updated.trial("end", SERVICE_RESULT="exit-code", EXIT_STATUS="75").returncode == 0
    assert updated.current() == "2.0"
    updated.trial("begin")
    assert updated.trial("end", SERVICE_RESULT="exit-code", EXIT_STATUS="78").returncode == 0
    assert updated.current() == "1.0", "it is still on trial"


def test_what_the_gateway_plants_is_neither_read_nor_written_nor_run_by_root(box):
    """Links, pipes and huge files by every name that root's scripts use or may use in its folders, before an update and on trial:
    nothing outside changes, nothing holds them up, and none of it ends a trial but the one name."""
    box.version("2.0")
    target = box.folder / "target"
    target.write_text("root's own")
    (box.root / SITE).unlink()
    for name in ("proved", "proved.new", "proved-1.0", "proved-3.0", "undone", "trial", "trial.0"):
        for folder in (STATE, RUN):
            (box.root / folder / name).unlink(missing_ok=True)
            (box.root / folder / name).symlink_to(target)
    for name in ("site.yaml.new", "site.yaml"):
        (box.root / "etc/gengfu" / name).symlink_to(target if name.endswith("new") else box.folder / "none")
    os.mkfifo(box.root / STATE / "pipe")
    done = box.install()
    assert done.returncode == 0, done.stdout
    for _ in range(4):
        assert box.trial("begin").returncode == 0
        assert box.trial("end", SERVICE_RESULT="exit-code", EXIT_STATUS="1").returncode == 0
    assert box.current() == "1.0"
    assert target.read_text() == "root's own"
    assert not (box.folder / "none").exists()
    assert (box.root / SITE).read_bytes() == (ROOT / "systemd/site.yaml").read_bytes()
    assert not (box.root / SITE).is_symlink()


@pytest.mark.parametrize("kind", ["link", "pipe", "huge"])
def test_a_gateway_can_say_that_its_version_runs_and_no_more(updated, kind):
    """Whatever it makes of that name: root looks whether it is there."""
    mark = updated.root / STATE / "proved-2.0"
    match kind:
        case "link":
            mark.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(mark)
        case "huge":
            mark.write_bytes(bytes(10_000_000))
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
    assert updated.current() == "2.0"


def test_what_an_earlier_one_of_the_same_name_proved_says_nothing_of_a_new_one(box):
    """Its folder was removed; the version from before knows no such marks, or has not run for a minute since."""
    box.prove("2.0")
    box.ended()
    box.version("2.0")
    assert box.install().returncode == 0
    assert box.current() == "2.0-2"
    for _ in range(4):
        box.trial("begin")
    assert box.current() == "1.0"


def test_an_old_version_that_is_gone_is_not_gone_back_to(updated):
    shutil.rmtree(updated.root / OPT / "1.0")
    for _ in range(5):
        assert updated.trial("begin").returncode == 0
    assert updated.current() == "2.0"


def test_an_update_over_one_on_trial_goes_back_to_the_one_that_ran(updated):
    updated.version("3.0")
    assert updated.install().returncode == 0
    for _ in range(4):
        updated.trial("begin")
    assert updated.current() == "1.0"


def test_going_back_is_cut_off_at_every_step(updated):
    """The start after it goes on with going back, or has the old version already."""
    for _ in range(3):
        updated.trial("begin")
    (whole,) = copies(updated, 1)
    whole.trial("begin")
    for step in range(1, whole.commands() + 1, (STEP + 1) // 2):
        for how, copy in zip(("killed", "gone", "names"), copies(updated, 3), strict=True):
            assert copy.trial("begin", last=step).returncode == -signal.SIGKILL
            if how != "killed":
                copy.cut(names=how == "names")
            copy.judge()
            assert copy.current() == "1.0", (step, how)


@pytest.mark.parametrize("version", ["2.0-bad", "2.0-deaf"][: 2 if STEP == 1 else 1])  # a deaf one takes 30 s
def test_a_version_whose_daemon_does_not_come_up_is_not_switched_to(box, version):
    """It ends, or answers nobody."""
    box.version(version)
    done = box.install()
    assert done.returncode != 0
    assert "does not run" in done.stdout
    assert box.judge() == "1.0"
    assert not (box.root / OPT / version).exists()
