"""A changed site in a gateway that goes on watching: two simulated lines, the whole daemon in this process, the command line."""

import asyncio
import json
import os
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import config, last_good
from gateway.commands import app as commands
from tests.gateway.changing_house import ANOTHER, PATIENCE_S, House, changed, events
from tests.waiting import until


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


async def test_only_what_changed_starts_again_and_alarms_stand_as_they_stood(house):
    """A second detector on the western line: the eastern one loses no poll, its alarm stays acknowledged, with its time."""
    async with house:
        await house.burning()
        before = {row["id"]: row["since"] for row in (await house.ask("alarms"))["alarms"]}
        polls = (await house.ask("status"))["parts"]["bus east"]["devices"]["e1"][0]["polls"]
        house.path.write_text(changed(house.text, ("alarms:\n", ANOTHER)))
        answer = await house.apply(why="second detector")
        assert answer["change"]["buses"] == {"changed": ["west"]}
        assert answer["change"]["devices"] == {"new": ["w2"]}
        assert answer["change"]["alarms"]["new"] == ["w2/silent"]
        assert (await house.apply())["en"].startswith("the last change is on trial")
        assert (await house.over())["stage"] == "proved"
        after = {row["id"]: row for row in (await house.ask("alarms"))["alarms"]}
        assert after["fire-east"]["state"] == "acknowledged"
        assert after["fire-west"]["state"] == "unacknowledged"
        assert [after[name]["since"] for name in before] == pytest.approx(list(before.values()), abs=0.05)
        status = await house.ask("status")
        assert status["parts"]["bus east"]["devices"]["e1"][0]["polls"] > polls  # else its poller would be a new one
        assert status["parts"]["bus east"]["devices"]["e1"][0]["failures"] == 0
        assert "w2" in status["parts"]["bus west"]["devices"]
        times = house.east.answers("one")
        assert max(late - early for early, late in pairwise(times)) < 1.0
        assert (await house.apply())["stage"] == "nothing"
    assert not last_good.is_doubted(house.path)
    assert "w2" in (house.folder / ".site.yaml.last-good" / "site.yaml").read_text()
    stages = await events(house.folder)
    assert [(one["stage"], one["who"].split(" ")[0], one["why"]) for one in stages] == [
        ("applied", "Wang", "second detector"),
        ("proved", "gengfu", ""),
    ]
    assert stages[0]["before"] != stages[0]["after"] == stages[1]["after"]
    assert stages[0]["changed"]["devices"] == {"new": ["w2"]}


async def test_an_alarm_that_leaves_is_named_and_recorded(house):
    async with house:
        await house.burning()
        text = house.text[: house.text.index("  - id: fire-west")]
        house.path.write_text(text)
        plan = await house.ask("apply", dry=True)
        assert plan["gone"] == {"fire-west": "unacknowledged"}
        assert set(await house.alarms()) >= {"fire-west"}, "a dry run changes nothing"
        assert (await house.apply())["gone"] == {"fire-west": "unacknowledged"}
        assert "fire-west" not in await house.alarms()
        assert (await house.alarms())["fire-east"] == "acknowledged"
        assert (await house.over())["stage"] == "proved"
    assert (await events(house.folder))[0]["gone"] == {"fire-west": "unacknowledged"}


MISTAKES = {
    "a limit that is no number": (("limit: 5, hyst", "limit: x, hyst"), "limit"),
    "a key that is not there": (
        ("alarms:\n", "uplinks: [{id: d, host: h, port: 1, ca: a.pem, certificate: b.pem, key: c.pem}]\nalarms:\n"),
        "uplinks[0].ca",
    ),
    "a fire alarm that comes too late": (
        ("when: {above: {point: w1/density, limit: 5}}", "when: {held: {of: {above: {point: w1/density, limit: 5}}, for_s: 30}}"),
        "alarms[1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_one_mistake_and_nothing_is_touched(house, mistake):
    """Also what a start would let pass: a key that cannot be read, a fire that is told too late."""
    pair, path = MISTAKES[mistake]
    async with house:
        await house.burning()
        running = (await house.told("site", lambda answer: answer["running"]))["running"]
        house.path.write_text(changed(house.text, pair))
        answer = await house.apply()
        assert not answer["ok"]
        assert path in [one["path"] for one in answer["mistakes"]] or path in answer["mistakes"][0]["path"]
        assert (await house.ask("site"))["running"] == running
        assert (await house.alarms())["fire-east"] == "acknowledged"
    assert not last_good.is_doubted(house.path)
    assert await events(house.folder) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("id: test-01", "id: test-02", "gateway.id"),
        ("directory: journal", "directory: other", "journal.directory"),
        ("run/control.sock", "run/other.sock", "gateway.control_socket"),
    ],
)
async def test_what_needs_a_restart_is_refused_with_the_reason(house, old, new, what):
    async with house:
        house.path.write_text(changed(house.text, (old, new)))
        answer = await house.apply()
        assert not answer["ok"]
        assert what in answer["en"]
        assert "restart" in answer["en"]
        assert what in answer["zh"]


async def test_a_line_that_does_not_answer_any_more_undoes_the_change(house):
    """The wrong address, and an alarm that left with the same change: it comes back as it stood. The file is another one than
    what runs, which is a fault until it is put right."""
    async with house:
        await house.burning()
        text = house.text[: house.text.index("  - id: fire-east")] + house.text[house.text.index("  - id: fire-west") :]
        wrong = changed(text, ("id: w1, bus: west, template: generic_smoke_loop, address: 1", "id: w1, bus: west, template: generic_smoke_loop, address: 9"))  # fmt: skip
        house.path.write_text(wrong)
        assert (await house.apply())["gone"] == {"fire-east": "acknowledged"}
        end = await house.over()
        assert (end["stage"], end["fallback"]) == ("undone", True)
        assert "west" in end["en"]
        alarms = await house.told("alarms", lambda answer: "gateway/last_known_good" in {row["id"] for row in answer["alarms"]})  # fmt: skip
        states = {row["id"]: row["state"] for row in alarms["alarms"]}
        assert (states["fire-east"], states["fire-west"]) == ("acknowledged", "unacknowledged")
        assert last_good.is_doubted(house.path), "a restart would try it again"
        house.path.write_text(house.text)
        assert (await house.apply())["stage"] == "nothing"
        assert not (await house.ask("site"))["fallback"]
        assert not last_good.is_doubted(house.path)
    assert [one["stage"] for one in await events(house.folder)] == ["applied", "undone"]


async def test_a_change_that_is_undone_proves_nothing_and_a_minute_after_it_does(house):
    """Neither the version nor the end of a crash loop: it had not run for a minute, and then it has."""
    async with house:
        await house.burning()
        house.path.write_text(changed(house.text, (str(house.west.path), str(house.folder / "no-such-port"))))
        assert (await house.apply())["stage"] == "trial"
        before = len(house.proved)  # the start's own minute, on a busy machine
        assert (await house.over())["stage"] == "undone"
        assert len(house.proved) == before
        running = (await house.ask("site"))["running"]
        await until(lambda: len(house.proved) > before, PATIENCE_S)
        assert (await house.ask("site"))["running"] == running
        assert (await house.ask("site"))["fallback"]


FALLS = "import os, signal, sys; 'judge' in sys.argv and os.kill(os.getpid(), signal.SIGKILL)"


async def test_a_reader_that_falls_is_told_as_what_it_is(house, tmp_path_factory, monkeypatch):
    """As where memory runs out: what happened, with which file, what to do, in both languages; nothing is changed."""
    folder = tmp_path_factory.mktemp("falls")
    (folder / "sitecustomize.py").write_text(FALLS)
    new = house.folder / "new.yaml"
    new.write_text(changed(house.text, ("alarms:\n", ANOTHER)))
    async with house:
        running = (await house.told("site", lambda answer: answer["running"]))["running"]
        monkeypatch.setenv("PYTHONPATH", str(folder))
        answer = await house.apply()
        told = await house.command(new, "--who", "Wang")
        assert (await house.ask("site"))["running"] == running
        assert (await house.ask("status"))["faults"] == {}, "it is no bug"
    assert not answer["ok"]
    assert "mistakes" not in answer
    for words in (str(house.path), "memory", "nothing was changed", "journalctl"):
        assert words in answer["en"]
    for words in (str(house.path), "内存", "未作更改", "journalctl"):
        assert words in answer["zh"]
    assert told.exit_code == 1
    assert "memory" in told.output
    assert str(new) in told.output.replace("\n", "")
    assert ".draft" not in told.output
    assert house.path.read_text() == house.text
    assert not last_good.is_doubted(house.path)


async def test_a_template_that_the_disk_does_not_give_is_no_mistake_of_a_change(house):
    """The same site runs on."""
    (house.folder / "templates").mkdir()
    async with house:
        await house.told("site", lambda answer: answer["running"])
        (house.folder / "templates" / "generic_smoke_loop.yaml").symlink_to("/proc/self/mem")
        answer = await house.apply()
        assert (await house.ask("status"))["faults"] == {}
    assert not answer["ok"]
    assert "mistakes" not in answer
    assert "generic_smoke_loop.yaml" in answer["en"]
    assert "nothing was changed" in answer["en"]


async def test_what_cannot_be_doubted_is_not_called_revertible(house):
    """A template that nobody uses and the disk does not give: nobody can know the whole again, so a restart would take the new site."""
    async with house:
        await house.told("site", lambda answer: answer["running"])
        (house.folder / "templates").mkdir()
        (house.folder / "templates" / "unused.yaml").symlink_to("/proc/self/mem")
        house.path.write_text(changed(house.text, ("Fire east", "Fire in the east")))
        answer = await house.apply()
    assert answer["stage"] == "trial"
    assert not answer["revertible"]


async def test_a_start_within_the_trial_takes_the_site_from_before(house):
    """With its alarms as they stood, and the fault; the person has to apply once more."""
    async with house:
        await house.burning()
        house.path.write_text(changed(house.text, ("alarms:\n", ANOTHER)))
        assert (await house.apply())["stage"] == "trial"
    assert last_good.is_doubted(house.path)
    async with house:
        assert (await house.ask("site"))["fallback"]
        assert "w2" not in (await house.ask("status"))["parts"]["bus west"]["devices"]
        assert (await house.alarms())["fire-east"] == "acknowledged"
        assert (await house.apply())["stage"] == "trial"
        assert (await house.over())["stage"] == "proved"
        assert not (await house.ask("site"))["fallback"]
    assert not last_good.is_doubted(house.path)


async def test_sighup_reads_the_file_again(house):
    async with house:
        house.path.write_text(changed(house.text, ("Fire east", "Fire in the east")))
        os.kill(os.getpid(), signal.SIGHUP)
        await house.told("site", lambda answer: answer["stage"] == "trial")
        assert (await house.over())["stage"] == "proved"
    assert (await events(house.folder))[0]["who"] == "SIGHUP"


async def test_sighup_on_a_bad_file_changes_nothing(house, caplog):
    async with house:
        house.path.write_text("gateway: {}")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "nothing was changed" in caplog.text, PATIENCE_S)
        assert (await house.ask("status"))["gateway"] == "test-01"


async def test_the_command_puts_a_proved_file_in_its_place(house):
    """Its mode stays; the draft goes; `--dry-run` before it touches nothing."""
    house.path.chmod(0o640)
    new = house.folder / "new.yaml"
    new.write_text(changed(house.text, ("alarms:\n", ANOTHER)))
    async with house:
        told = await house.command(new, "--dry-run")
        assert told.exit_code == 0
        assert "w2" in told.output
        assert house.path.read_text() == house.text
        told = await house.command(new, "--who", "Wang", "--json")
        assert told.exit_code == 0
        assert json.loads(told.stdout)["stage"] == "proved"
    assert house.path.read_text() == new.read_text()
    assert house.path.stat().st_mode & 0o777 == 0o640
    assert not (house.folder / ".site.yaml.draft").exists()
    assert config.load(house.path).devices[-1].id == "w2"


async def test_the_command_puts_the_old_file_back_when_the_change_is_undone(house):
    new = house.folder / "new.yaml"
    new.write_text(changed(house.text, (str(house.west.path), str(house.folder / "no-such-port"))))
    async with house:
        await house.burning()
        told = await house.command(new, "--who", "Wang")
        assert told.exit_code == 3
        assert "west" in told.output
        assert "已撤销" in told.output
        assert house.path.read_text() == house.text
        assert not (await house.ask("site"))["fallback"], "what runs is what the file says again"
    assert not last_good.is_doubted(house.path)


async def test_the_command_says_every_mistake_and_leaves_the_file_alone(house):
    new = house.folder / "new.yaml"
    new.write_text(changed(house.text, ("limit: 5, hyst", "limit: x, hyst"), ("baud: 115200", "baud: fast")))
    async with house:
        told = await house.command(new, "--who", "Wang")
    assert told.exit_code == 78
    assert told.output.count(f"{new}:") == 3
    assert house.path.read_text() == house.text
    left = {one.name for one in house.folder.iterdir()} - {".site.yaml.last-good.new"}  # until the first site is proved
    assert left == {".site.yaml.last-good", "east", "west", "journal", "new.yaml", "run", "site.yaml"}


async def test_nobody_changes_a_site_without_a_name(house):
    async with house:
        assert "--who" in (await house.ask("apply"))["en"]
        assert (await house.command("--dry-run")).exit_code == 0


def test_without_a_gateway_the_command_says_so(tmp_path):
    told = CliRunner().invoke(commands, ["apply", "--socket", str(tmp_path / "none.sock")])
    assert told.exit_code == 1
    assert "no gateway answers" in told.output


async def applied_to(socket, file, given):
    """`gengfu apply GIVEN` at a gateway that says that its site file is FILE, and that it runs whatever it is given."""

    connections = []

    async def answer(reader, writer):
        connections.append(asyncio.current_task())
        while line := await reader.readline():
            stage = "plan" if json.loads(line).get("dry") else "nothing"
            told = {"ok": True, "file": str(file), "stage": stage, "digest": "", "change": {}, "gone": {}}
            writer.write(json.dumps(told).encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(answer, socket):
        words = ["apply", str(given), "--who", "Wang", "--socket", str(socket)]
        told = await asyncio.to_thread(CliRunner().invoke, commands, words)
        await asyncio.gather(*connections)
        return told


async def test_a_gateway_in_wrong_hands_does_not_choose_what_root_writes(tmp_path):
    """`gengfu apply FILE` writes the site file that the gateway names, often as root: only one beside which it keeps its last
    known good, and that lies where nobody but root and the caller can lead elsewhere."""
    given, victim = tmp_path / "new.yaml", tmp_path / "etc" / "passwd"
    given.write_text("a site")
    victim.parent.mkdir()
    victim.write_text("root")
    link, own = victim.with_name("site.yaml"), tmp_path / "gateways"
    link.symlink_to(victim)
    last_good.stage(link)
    last_good.keep(link)
    own.mkdir()
    (own / "site.yaml").write_text("site")
    last_good.stage(own / "site.yaml")
    last_good.keep(own / "site.yaml")
    shared = tmp_path / "shared"
    shutil.copytree(own, shared)
    if os.geteuid() == 0:
        shutil.chown(own, 65534)
        shutil.chown(
            shared / "site.yaml", 65534
        )  # in a folder of root's that is the gateway's too, it could become a link
    foreign = (own / "site.yaml", shared / "site.yaml") if os.geteuid() == 0 else ()
    for file in (victim, link, tmp_path / "none" / "site.yaml", *foreign):
        told = await applied_to(tmp_path / "control.sock", file, given)
        assert told.exit_code == 1, told.output
        assert "does not look like its site file" in told.output.replace("\n", " ")
        assert "网关所指的" in told.output
    assert victim.read_text() == "root"
    assert link.is_symlink()
    assert (own / "site.yaml").read_text() == "site"
    assert sorted(path.name for path in victim.parent.iterdir()) == [".site.yaml.last-good", "passwd", "site.yaml"]


async def test_who_forgot_sudo_is_told_to_try_it(tmp_path, monkeypatch):
    """What the gateway keeps is for its own eyes: from outside nothing is seen beside the site file."""
    given, site = tmp_path / "new.yaml", tmp_path / "site.yaml"
    given.write_text("new")
    site.write_text("site")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    told = await applied_to(tmp_path / "control.sock", site, given)
    assert told.exit_code == 1
    assert "Try sudo" in " ".join(told.output.split())
    assert "请用sudo重试" in "".join(told.output.split())
    assert site.read_text() == "site"


async def test_a_way_through_links_of_the_machine_leads_to_the_site_file(tmp_path):
    """Such as a home that lies elsewhere."""
    home, given = tmp_path / "volume" / "home", tmp_path / "new.yaml"
    home.mkdir(parents=True)
    given.write_text("new")
    (home / "site.yaml").write_text("site")
    last_good.stage(home / "site.yaml")
    last_good.keep(home / "site.yaml")
    (tmp_path / "home").symlink_to(home)
    told = await applied_to(tmp_path / "control.sock", tmp_path / "home" / "site.yaml", given)
    assert told.exit_code == 0, told.output
    assert (home / "site.yaml").read_text() == "new"


async def test_a_gateway_names_its_file_for_those_in_other_folders(house, monkeypatch):
    """`gengfu run site.yaml` was started in the folder of the file; `gengfu apply` may be anywhere."""
    monkeypatch.chdir(house.folder)
    house.path = Path(house.path.name)
    async with house:
        assert (await house.ask("site"))["file"] == str(house.folder / "site.yaml")
