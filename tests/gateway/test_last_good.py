"""What runs when the site file is refused, or when the gateway crashes again and again."""

import signal
from pathlib import Path

import pytest

from gateway import apart
from gateway.errors import ConfigError
from gateway.last_good import CRASH_SPAN_S, Starts, believe, digest, doubt, is_kept, keep, load, stage

ROOT = Path(__file__).parents[2]
GOOD = (ROOT / "examples" / "demo" / "site.yaml").read_text(encoding="utf-8")


def kept(path):
    """As a gateway does that ran for a minute."""
    stage(path)
    keep(path)


def test_a_good_site_is_kept_as_last_known_good(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    site, last_known_good = load(path)
    assert (site.gateway.id, last_known_good) == ("demo-01", False)
    kept(path)
    path.write_text(GOOD.replace("demo-01", "demo 01"), encoding="utf-8")
    site, last_known_good = load(path)
    assert (site.gateway.id, last_known_good) == ("demo-01", True)
    assert Path(site.journal.directory) == tmp_path / "journal"


def test_a_bad_site_without_a_good_one_before_is_refused(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("gateway: {}", encoding="utf-8")
    with pytest.raises(ConfigError):
        load(path)


def test_a_folder_that_cannot_be_written_stops_no_good_site(tmp_path, monkeypatch):
    """/etc may be read-only; then there is no last known good, and that is said."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    (tmp_path / ".site.yaml.last-good.new").write_text("in the way")
    kept(path)
    assert load(path)[1] is False


def test_the_templates_beside_the_site_are_kept_with_it(tmp_path):
    """A template that somebody broke is a refused site like any other."""
    path, template = tmp_path / "site.yaml", tmp_path / "templates" / "generic_smoke_loop.yaml"
    template.parent.mkdir()
    house = (ROOT / "drivers" / "templates" / template.name).read_text(encoding="utf-8")
    template.write_text(house.replace("period_s: 0.5", "period_s: 0.25"), encoding="utf-8")
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    template.write_text("points: [", encoding="utf-8")
    site, last_known_good = load(path)
    assert last_known_good
    assert {group.period_s for group in site.devices[0].groups} == {0.25, 2}


def test_a_cut_while_keeping_leaves_the_one_before(tmp_path):
    """Between the two renames there is only the older one."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    (tmp_path / ".site.yaml.last-good").rename(tmp_path / ".site.yaml.last-good.old")
    path.write_text("gateway: {}", encoding="utf-8")
    assert load(path)[1] is True
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".site.yaml.last-good", "site.yaml"]


def test_what_is_kept_is_what_ran_and_not_what_the_file_says_by_then(tmp_path):
    """An installer edits the file in the first minute: the half edited one is nobody's last known good."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    stage(path)
    path.write_text("gateway: {", encoding="utf-8")
    keep(path)
    site, last_known_good = load(path)
    assert (site.gateway.id, last_known_good) == ("demo-01", True)


def crash_three_times(path, boot="a" * 32):
    for at in (10.0, 11.5, 13.0):
        Starts(path, boot).begin(at)


@pytest.fixture
def path(tmp_path):
    """A site that ran, and was then changed into another valid one."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    path.write_text(GOOD.replace("demo-01", "demo-02"), encoding="utf-8")
    return path


def test_after_three_crashes_the_last_known_good_runs(path):
    starts = Starts(path, "a" * 32)
    crash_three_times(path)
    site, last_known_good = load(path, starts, 15.0)
    assert (site.gateway.id, last_known_good) == ("demo-01", True)


def refuse_kept(path):
    """As a newer version may."""
    (path.parent / ".site.yaml.last-good" / path.name).write_text("gateway: {}", encoding="utf-8")


@pytest.mark.parametrize("why", ["crashes", "doubted"])
def test_a_last_known_good_that_is_refused_leaves_the_file(path, why):
    """A newer version may refuse it. To end with 78 for that, after which nobody starts the gateway, would be for good."""
    refuse_kept(path)
    if why == "crashes":
        crash_three_times(path)
    else:
        doubt(path, digest(path))
    site, last_known_good = load(path, Starts(path, "a" * 32), 14.0)
    assert (site.gateway.id, last_known_good) == ("demo-02", False)


def test_mistakes_of_both_are_told(path):
    path.write_text("gateway: []", encoding="utf-8")
    refuse_kept(path)
    with pytest.raises(ConfigError) as refused:
        load(path)
    told = {mistake.file for mistake in refused.value.mistakes}
    assert told == {str(path), str(path.parent / ".site.yaml.last-good" / path.name)}


def fallen(path):
    """A reader that was killed, as one that takes too much memory is."""
    reading = apart.Reading(path)
    reading._child.send_signal(signal.SIGKILL)
    return reading


def test_a_file_that_kills_its_reader_is_no_crash_loop(path):
    """It is never read to its end, so no start is ever counted."""
    site, last_known_good = load(path, begun=fallen(path))
    assert (site.gateway.id, last_known_good) == ("demo-01", True)


def test_a_reader_that_fell_by_chance_is_no_fault_where_the_last_known_good_is_the_same(path):
    kept(path)
    site, last_known_good = load(path, begun=fallen(path))
    assert (site.gateway.id, last_known_good) == ("demo-02", False)


def test_a_reader_that_falls_is_no_mistake_where_nothing_else_can_be_read(path, tmp_path_factory):
    """Whoever reads a ConfigError ends with 78, and is not started again."""
    refuse_kept(path)
    with pytest.raises(RuntimeError, match="ended with -9"):
        load(path, begun=fallen(path))
    alone = tmp_path_factory.mktemp("alone") / "site.yaml"
    alone.write_text(GOOD, encoding="utf-8")
    with pytest.raises(RuntimeError, match="ended with -9"):
        load(alone, begun=fallen(alone))


def test_a_template_that_the_disk_does_not_give_is_no_mistake_in_the_site(tmp_path):
    """The kept copy runs; where there is none, nobody ends with 78 for it."""
    path, template = tmp_path / "site.yaml", tmp_path / "templates" / "generic_smoke_loop.yaml"
    template.parent.mkdir()
    template.write_bytes((ROOT / "drivers" / "templates" / template.name).read_bytes())
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    template.unlink()
    template.symlink_to("/proc/self/mem")
    assert load(path)[0].gateway.id == "demo-01"
    refuse_kept(path)
    with pytest.raises(apart.Unread, match="Input/output error"):
        load(path)


def test_mistakes_are_told_where_the_other_one_cannot_be_read(path, caplog):
    path.write_text("gateway: []", encoding="utf-8")
    copy = path.parent / ".site.yaml.last-good" / path.name
    copy.unlink()
    copy.symlink_to("/proc/self/mem")
    with pytest.raises(apart.Unread, match="Input/output error"):
        load(path)
    assert f"{path}:1: gateway" in caplog.text


def test_two_crashes_are_not_a_loop(path):
    starts = Starts(path, "a" * 32)
    starts.begin(10.0)
    starts.begin(11.5)
    assert load(path, starts, 13.0)[0].gateway.id == "demo-02"


def test_three_crashes_in_an_hour_are_not_a_loop(path):
    starts = Starts(path, "a" * 32)
    crash_three_times(path)
    assert load(path, starts, 10.1 + CRASH_SPAN_S)[0].gateway.id == "demo-02"


def test_a_start_that_proved_itself_wipes_the_slate(path):
    starts = Starts(path, "a" * 32)
    crash_three_times(path)
    starts.proved()
    assert starts.crashes(15.0) == 0
    assert load(path, starts, 15.0)[0].gateway.id == "demo-02"


def test_crashes_of_another_boot_do_not_count(path):
    """Monotonic time begins anew at each boot: those times mean nothing now."""
    crash_three_times(path, boot="b" * 32)
    assert Starts(path, "a" * 32).crashes(15.0) == 0


def test_where_the_last_known_good_is_the_same_it_helps_nothing(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    crash_three_times(path)
    assert load(path, Starts(path, "a" * 32), 15.0)[1] is False


def test_a_changed_template_makes_another_site(tmp_path):
    path, template = tmp_path / "site.yaml", tmp_path / "templates" / "generic_smoke_loop.yaml"
    template.parent.mkdir()
    template.write_text((ROOT / "drivers" / "templates" / template.name).read_text(encoding="utf-8"), encoding="utf-8")
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    template.write_text(template.read_text(encoding="utf-8") + "\n# another\n", encoding="utf-8")
    crash_three_times(path)
    assert load(path, Starts(path, "a" * 32), 15.0)[1] is True


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe\n", b"a b c\n" * 5, b"a" * 32 + b" nan\n", b"a" * 32 + b" x\n"])
def test_a_damaged_count_of_starts_is_no_crash(path, junk):
    path.with_name(".site.yaml.starts").write_bytes(junk)
    starts = Starts(path, "a" * 32)
    assert starts.crashes(15.0) == 0
    starts.begin(15.0)
    assert starts.crashes(16.0) == 1


def test_the_count_of_a_loop_of_years_stays_small(path):
    starts = Starts(path, "a" * 32)
    for second in range(1000):
        starts.begin(float(second))
    assert len(path.with_name(".site.yaml.starts").read_text().splitlines()) == 3


def test_starts_that_cannot_be_counted_stop_no_gateway(tmp_path):
    """/etc may be read-only."""
    path = tmp_path / "no such folder" / "site.yaml"
    starts = Starts(path, "a" * 32)
    starts.begin(1.0)
    starts.proved()
    assert starts.crashes(2.0) == 0
    assert not is_kept(path)


def test_a_site_on_trial_is_not_started_until_it_is_believed(tmp_path):
    """Nor is one that was undone; another file is."""
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    path.write_text(GOOD.replace("demo-01", "demo-02"), encoding="utf-8")
    assert doubt(path, digest(path))
    site, last_known_good = load(path)
    assert (site.gateway.id, last_known_good) == ("demo-01", True)
    path.write_text(GOOD.replace("demo-01", "demo-03"), encoding="utf-8")
    assert load(path)[0].gateway.id == "demo-03"
    path.write_text(GOOD.replace("demo-01", "demo-02"), encoding="utf-8")
    believe(path)
    assert load(path)[0].gateway.id == "demo-02"


def test_a_doubted_site_is_better_than_none(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert doubt(path, digest(path))
    assert load(path)[1] is False


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe", b"x" * 70])
def test_a_mark_that_says_nothing_doubts_nothing(tmp_path, mark):
    path = tmp_path / "site.yaml"
    path.write_text(GOOD, encoding="utf-8")
    kept(path)
    path.write_text(GOOD.replace("demo-01", "demo-02"), encoding="utf-8")
    (tmp_path / ".site.yaml.doubted").write_bytes(mark)
    assert load(path)[0].gateway.id == "demo-02"


def test_the_templates_count_into_what_a_site_is(tmp_path):
    path, template = tmp_path / "site.yaml", tmp_path / "templates" / "one.yaml"
    path.write_text(GOOD, encoding="utf-8")
    before = digest(path)
    template.parent.mkdir()
    template.write_text("x")
    assert len({before, digest(path)}) == 2
    assert digest(tmp_path / "none.yaml") == ""
