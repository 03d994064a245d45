"""The reader of site files, a process of its own: `gateway.apart`."""

import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import apart, config
from gateway.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/site.yaml"))
BAD = "gateway: {id: g}\nbuses: [{id: b, kind: tcp, host: h, tcp_port: 70000}]\ndevices: [{id: d, bus: x}]\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_site_comes_back_as_it_is_read(path):
    """Nothing of a site is lost on the way between the processes."""
    assert apart.load(path) == config.load(path)
    assert apart.load(path).lines == config.load(path).lines


def test_every_mistake_comes_back(tmp_path):
    """As if it had been read here: file, line, path and both languages."""
    path = tmp_path / "site.yaml"
    path.write_text(BAD)
    told = []
    for load in (apart.load, config.load):
        with pytest.raises(ConfigError) as caught:
            load(path)
        told.append(caught.value.mistakes)
    assert told[0] == told[1]
    assert len(told[0]) > 1


def test_what_check_refuses_is_refused_for_a_running_gateway_only(tmp_path):
    """Keys that are not there stop an uplink at the start, and a change as a whole."""
    path = tmp_path / "site.yaml"
    text = (ROOT / "examples" / "demo" / "site.yaml").read_text()
    path.write_text(text)
    assert apart.load(path).uplinks
    with pytest.raises(ConfigError) as caught:
        apart.judged(path, tmp_path)
    assert {one.path for one in caught.value.mistakes} >= {"uplinks[0].ca", "uplinks[0].key"}


def test_relative_paths_count_from_the_folder_that_is_named(tmp_path):
    """A copy of a site file, as the last known good one is, means what the file itself means."""
    path = ROOT / "examples" / "demo" / "site.yaml"
    assert apart.load(path, tmp_path).journal.directory.startswith(str(tmp_path))


def told_by_a_reader(says):
    """What the reader of the demo's site writes, with `says` as an expression that is evaluated while it reads."""
    path = ROOT / "examples" / "demo" / "site.yaml"
    code = (
        "import os; from pathlib import Path; from gateway import apart, config; load = config.load\n"
        f"config.load = lambda *path, **root: ({says}, load(*path, **root))[1]\n"
        f"apart.main('load', Path({str(path)!r}), Path({str(path.parent)!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_what_a_library_prints_is_no_part_of_the_answer():
    """It comes out beside it, for the log."""
    told = told_by_a_reader("os.write(1, b'hello')")
    assert pickle.loads(told.stdout) == config.load(ROOT / "examples" / "demo" / "site.yaml")
    assert told.stderr == b"hello"


def test_where_memory_is_short_the_reader_goes_and_not_the_daemon():
    """2 MiB of mistakes take twice what the daemon does, and both have one limit."""
    told = told_by_a_reader("os.write(2, Path('/proc/self/oom_score_adj').read_bytes())")
    assert int(told.stderr) > int(Path("/proc/self/oom_score_adj").read_text())


def test_a_reader_that_falls_is_no_mistake_in_the_file():
    """The daemon ends and is started anew; exit 78, after which nobody starts it, is for mistakes alone."""
    reading = apart.Reading(ROOT / "examples" / "demo" / "site.yaml")
    reading._child.send_signal(signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended with -9"):
        reading.result()


def test_a_reader_that_cannot_be_started_is_none_either():
    """No memory for a process, or no file left for its pipe."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/dev/null", "rb") as lowest:
        free = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(apart.Unread, match="cannot be started") as caught:
            apart.load(Path("site.yaml"), Path())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "无法启动" in caught.value.text.zh
    assert caught.value.passing


def test_a_start_that_can_start_no_reader_is_told_in_words():
    """Not by a traceback; and a version that can never do so is left, for this is no fault that passes."""
    code = (
        "import sys; sys.executable = '/no/such/python'; sys.argv = ['gengfu', 'run', 'site.yaml']\n"
        "from gateway import cli; cli.main()"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 70
    assert "cannot be started" in told.stderr
    assert "Traceback" not in told.stderr


def with_a_template_that_the_disk_does_not_give(folder):
    """The demo's site with one of its templates beside it. The kernel answers EIO there, as for a card that is gone for a moment."""
    path = folder / "site.yaml"
    path.write_bytes((ROOT / "examples" / "demo" / "site.yaml").read_bytes())
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "generic_smoke_loop.yaml").symlink_to("/proc/self/mem")
    return path


def test_a_disk_that_fails_is_no_mistake_in_the_file(tmp_path):
    """Nor in a template that it uses: what cannot be read, and that it is the disk, is told in both languages."""
    path = with_a_template_that_the_disk_does_not_give(tmp_path)
    for load, site, where in (
        (apart.load, Path("/proc/self/mem"), "/proc/self/mem"),
        (apart.judged, path, "generic_smoke_loop.yaml"),
    ):
        with pytest.raises(apart.Unread, match="Input/output error") as caught:
            load(site, tmp_path)
        assert caught.value.passing
        assert where in caught.value.text.zh
        assert "磁盘" in caught.value.text.zh


def test_a_person_who_asks_is_told_the_same(tmp_path):
    """`gengfu check` and its like read the file themselves."""
    path = with_a_template_that_the_disk_does_not_give(tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    (mistake,) = caught.value.mistakes
    assert mistake.file.endswith("generic_smoke_loop.yaml")
    assert "no mistake in the file" in mistake.en


def test_a_start_whose_disk_fails_is_tried_again_and_says_nothing_of_the_version():
    """75: systemd starts it anew for ever, and an update on trial is not left for it. 78 would be for good."""
    told = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "run", "/proc/self/mem"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.returncode == 75
    assert "/proc/self/mem" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_path_that_is_wrong_is_one(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "none.yaml" / "site.yaml", Path("/dev/zero")):
        with pytest.raises(ConfigError):
            apart.load(path)


def test_a_daemon_that_cannot_even_begin_leaves_no_reader_behind():
    """The service manager waited 20 s for it before each new start, and an update that was bad was left after a minute."""
    path = ROOT / "examples" / "demo" / "site.yaml"
    code = (
        f"import os, sys; sys.modules['gateway.app'] = None; sys.argv = ['gengfu', 'run', {str(path)!r}]\n"
        "from gateway import cli\n"
        "try: cli.main()\n"
        "except ImportError: print('fell', open(f'/proc/self/task/{os.getpid()}/children').read().split())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "fell []\n"


def test_a_reading_that_nobody_wants_leaves_no_process():
    """Also when it is dropped twice."""
    reading = apart.Reading(ROOT / "examples" / "demo" / "site.yaml")
    reading.drop()
    reading.drop()
    assert reading._child.returncode is not None
