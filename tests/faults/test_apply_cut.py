"""R6: the power is cut, or a process killed, anywhere around `gengfu apply`: what starts afterwards is the old site or the new one.

Every file operation beside the site file is noticed (an audit hook, and fsync), in the daemon and in the command alike; before
each one the disk is written down. A state that a kill -9 could leave is such a picture. A power cut, besides, leaves of what was
written and not synced all, nothing or half. From each distinct state a gateway starts, and its site is looked at.

It trusts the file system to keep the order of renames and deletions (ext4, f2fs, xfs do); the journal is R1's and R2's.

CI runs two stories; ``GENGFU_FAULTS=full`` all of them: ``python -m pytest tests/faults/test_apply_cut.py -s``.
"""

import itertools
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from gateway import last_good
from gateway.config import TEMPLATES
from tests.gateway.changing_house import ANOTHER, House, changed

FULL = os.environ.get("GENGFU_FAULTS") == "full"
OTHERS = ("journal", "run", "east", "west")
"""What is no part of the site."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Watcher:
    """Writes down the site's folder before each operation on it."""

    def __init__(self):
        self.folder = None
        self.states = {}
        """Distinct ones, in their order: files by name -> bytes, and which of them are not on the disk yet."""
        self.unsynced = set()
        self.lock = threading.RLock()
        self.looking = threading.local()
        self.fsync = os.fsync
        sys.addaudithook(self.hear)

    def begin(self, folder):
        self.folder, self.states, self.unsynced = str(folder), {}, set()
        os.fsync = self.synced

    def end(self):
        self.picture()
        self.folder = None
        os.fsync = self.fsync
        return list(self.states)

    def hear(self, event, args):
        if self.folder is None or getattr(self.looking, "on", False):
            return
        if event == "open" and isinstance(args[0], (str, Path)) and args[2] & WRITES and self.inside(args[0]):
            self.picture()
            self.unsynced.add(os.path.relpath(args[0], self.folder))
        elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod"):
            self.picture()
            if event == "os.rename" and self.inside(args[0]):
                self.moved(*(os.path.relpath(one, self.folder) for one in args[:2]))

    def synced(self, number):
        name = os.readlink(f"/proc/self/fd/{number}")
        self.picture()
        self.fsync(number)
        if self.folder is not None and self.inside(name):
            self.unsynced.discard(os.path.relpath(name, self.folder))

    def moved(self, old, new):
        """What was not on the disk is not there under its new name either."""
        for name in [one for one in self.unsynced if one == old or one.startswith(old + os.sep)]:
            self.unsynced.discard(name)
            self.unsynced.add(new + name[len(old) :])

    def inside(self, name):
        relative = os.path.relpath(name, self.folder)
        return not relative.startswith("..") and relative.split(os.sep)[0] not in OTHERS

    def picture(self):
        with self.lock:
            self.looking.on = True
            try:
                self._picture()
            finally:
                self.looking.on = False

    def _picture(self):
        files = {}
        for root, folders, names in os.walk(self.folder):
            folders[:] = [one for one in folders if root != self.folder or one not in OTHERS]
            for name in [*names, *folders]:
                path = Path(root, name)
                try:
                    files[os.path.relpath(path, self.folder)] = path.read_bytes() if path.is_file() else None
                except OSError:
                    return  # it is being removed: the next picture has it
        left = frozenset(name for name in self.unsynced if files.get(name))
        self.states.setdefault((frozenset(files.items()), left))


@pytest.fixture(scope="module")
def watcher():
    """A hook cannot be taken back: one for all."""
    return Watcher()


def cuts(state):
    """The disks that it can leave: as it is, and with each that is not synced gone or cut in half."""
    files, unsynced = state
    yield dict(files)
    for lengths in itertools.islice(itertools.product((0, 2, 1), repeat=len(unsynced)), 1, 27):
        short = dict(zip(sorted(unsynced), lengths, strict=True))
        yield {
            name: body if body is None or not short.get(name) else body[: len(body) // 2 if short[name] == 1 else 0]
            for name, body in files
        }


def start(place, files):
    """What a gateway that starts on this disk runs."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, body in sorted(files.items()):
        path = place / name
        if body is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    site, _ = last_good.load(place / "site.yaml")
    return site.buses, site.devices, site.alarms


class Story:
    """What a person does; `old` and `new` are what may run afterwards."""

    def __init__(self, house):
        self.house = house
        self.new = house.folder / "new.yaml"

    async def run(self, watcher, text, act):
        async with self.house:
            await self.house.burning()
            await self.house.told("site", lambda answer: answer["running"])
            self.new.write_text(text)
            watcher.begin(self.house.folder)
            await act(self)
            return watcher.end()

    async def command(self):
        """`gengfu apply FILE`"""
        await self.house.command(self.new, "--who", "Wang")

    async def in_place(self):
        """An editor writes the file anew and renames it, the person applies it."""
        shutil.copy(self.new, self.house.folder / "site.yaml.edited")
        with (self.house.folder / "site.yaml.edited").open("rb") as edited:
            os.fsync(edited.fileno())
        (self.house.folder / "site.yaml.edited").replace(self.house.path)
        await self.house.apply()
        await self.house.over()

    async def twice(self):
        """Undone, and insisted on: while another site runs than the file says."""
        await self.in_place()
        await self.house.apply()
        await self.house.over()


def grown(house):
    return changed(house.text, ("alarms:\n", ANOTHER))


def broken(house):
    return changed(house.text, (str(house.west.path), str(house.folder / "no-such-port")))


def wrong(house):
    """Whole, but with one mistake."""
    return changed(house.text, ("limit: 5, hyst", "limit: x, hyst"))


OLD_NEW_OLD = ["old", "new", "old"]
"""In place for a moment before it is doubted; from then on the old one."""
STORIES = {
    "proved": (grown, Story.command, 0, [*OLD_NEW_OLD, "new"]),
    "undone": (broken, Story.command, 0, OLD_NEW_OLD),
    "with templates": (grown, Story.command, 4, [*OLD_NEW_OLD, "new"]),
    "templates, undone": (broken, Story.command, 4, OLD_NEW_OLD),
    "in place": (grown, Story.in_place, 2, [*OLD_NEW_OLD, "new"]),
    "in place, undone": (broken, Story.in_place, 2, OLD_NEW_OLD),
    "refused": (wrong, Story.command, 1, ["old"]),
    "insisted": (broken, Story.twice, 2, OLD_NEW_OLD),
}
"""What the person does, how many templates lie beside the file, and what starts after a kill -9, in the order of the story."""
CI = ("proved", "undone")


@pytest.mark.parametrize("story", STORIES if FULL else CI)
async def test_a_cut_leaves_the_old_site_or_the_new_one(tmp_path, watcher, story):
    """And in the order that the documents promise."""
    change, act, templates, order = STORIES[story]
    house = House(tmp_path)
    for path in sorted(TEMPLATES.glob("*.yaml"))[:templates]:
        (tmp_path / "templates").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "templates")
    try:
        old = start(tmp_path / "look", {"site.yaml": house.text.encode()})
        text = change(house)
        new = old if change is wrong else start(tmp_path / "look", {"site.yaml": text.encode()})
        shutil.rmtree(tmp_path / "look")
        states = await Story(house).run(watcher, text, act)
    finally:
        house.close()
    killed, count = [], 0
    for state in states:
        for number, files in enumerate(cuts(state)):
            count += 1
            runs = start(tmp_path / "look", files)
            assert runs in (old, new), f"{story}: neither old nor new, state {count}"
            if number == 0:
                killed.append("old" if runs == old else "new")
    sys.stderr.write(f"R6 {story}: {len(states)} pictures, {count} states\n")
    assert [name for name, _ in itertools.groupby(killed)] == order
