"""The last known good site: what a gateway runs when its file is refused at boot, or when it crashes again and again (law 8).

Guarantees
* A site is kept once a gateway has run with it for a minute (the very first one at once: something is better than
  nothing): the file and the templates beside it as they were at the start, in ``.<file>.last-good/`` beside the file.
  Relative paths in it still count from the site file's own folder.
* A power cut while it is being kept leaves the new one or the one before, whole: all of it is on the disk before it is
  given its name.
* A changed site (`gateway.changing`) is doubted from before it runs until it has proved itself: `doubt` notes the digest of
  file and templates in ``.<file>.doubted``. As long as file and templates are those, a start takes the last known good.
* One of the two that is refused, or whose reader falls (`gateway.apart`), leaves the other: a gateway watches as long as one
  can be used.
* After `CRASHES` starts within `CRASH_SPAN_S` that neither ran for a minute nor were stopped, the next one takes the last
  known good, if that is another one. A stop by a person or the service manager is no crash: a restart tries the file anew.

It holds no keys and no journal; a folder that cannot be written means that there is none, and that is logged.
"""

from __future__ import annotations

import filecmp
import hashlib
import logging
import math
import os
import shutil
from pathlib import Path

from gateway import apart
from gateway.blueprint import Site
from gateway.clock import boot_id
from gateway.errors import ConfigError

log = logging.getLogger(__name__)

CRASHES = 3
CRASH_SPAN_S = 120.0


class Starts:
    """Starts of this boot that have not been proved yet: one line each, ``boot monotonic``, in ``.<file>.starts``."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path.with_name(f".{path.name}.starts")
        self._boot = boot

    def crashes(self, now: float) -> int:
        """How many earlier ones ended within the span without a word. Unreadable or of another boot: none."""
        return sum(1 for at in self._times() if 0 <= now - at <= CRASH_SPAN_S)

    def begin(self, now: float) -> None:
        """Note this start. The file stays small: a crash loop of years is three lines."""
        self._write([*self._times()[-CRASHES + 1 :], now])

    def proved(self) -> None:
        """This one runs, or was stopped: what came before does not count any more."""
        self._write([])

    def _times(self) -> list[float]:
        """The monotonic times of this boot's starts."""
        try:
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return []
        words = [line.split() for line in lines]
        numbers = [_number(word[1]) for word in words if len(word) == 2 and word[0] == self._boot]
        return [number for number in numbers if number is not None]

    def _write(self, times: list[float]) -> None:
        draft = self._path.with_name(self._path.name + ".new")
        try:
            draft.write_text("".join(f"{self._boot} {at:.3f}\n" for at in times), encoding="ascii")
            draft.replace(self._path)
        except OSError as error:
            log.warning("starts cannot be counted: %s", error)


def load(
    path: Path, starts: Starts | None = None, now: float = 0.0, begun: apart.Reading | None = None
) -> tuple[Site, bool]:
    """The site, and whether it is the last known good one. Raises ConfigError when both are refused; `apart.Unread` when none
    could be read and one of them perhaps could be.

    `now`: monotonic seconds of `starts`. `begun`: the file as it is, which is being read already."""
    kept = _kept(path)
    if kept is None:
        return (begun or apart.Reading(path)).result(), False
    same = _same(path, kept)
    distrusted = not same and _distrusted(path, starts.crashes(now) if starts else 0)
    failures: list[ConfigError | apart.Unread] = []
    for source in (kept, path.parent) if distrusted else (path.parent, kept):
        try:
            site = (
                apart.load(kept / path.name, path.parent) if source == kept else (begun or apart.Reading(path)).result()
            )
        except (ConfigError, apart.Unread) as error:
            failures.append(error)
        else:
            for failure in failures:
                log.error("%s", failure)
            if failures:
                log.error("running %s instead 改用此文件", source / path.name)
            return site, source == kept and not same
    raise _told(failures)


def _told(failures: list[ConfigError | apart.Unread]) -> ConfigError | apart.Unread:
    """What to raise where nothing can be used: all mistakes, unless one of them could not be read. Then the others are logged."""
    unread = next((one for one in failures if isinstance(one, apart.Unread)), None)
    if unread is None:
        return ConfigError([mistake for one in failures if isinstance(one, ConfigError) for mistake in one.mistakes])
    for other in failures:
        if other is not unread:
            log.error("%s", other)
    return unread


def _distrusted(path: Path, crashes: int) -> bool:
    """Is the last known good one better than what the file says?"""
    if crashes >= CRASHES:
        log.error("%d starts within %.0f s ended early; running the last known good site", crashes, CRASH_SPAN_S)
        log.error("网关在 %.0f 秒内 %d 次异常退出；使用上次有效配置", CRASH_SPAN_S, crashes)
        return True
    if is_doubted(path):
        log.error("%s was undone, or its trial was cut off; running the last known good: gengfu apply", path)
        log.error("%s 曾被撤销或试运行中断；使用上次有效配置；可用 gengfu apply 再试", path)
        return True
    return False


def is_kept(path: Path) -> bool:
    """Whether there is one to fall back on."""
    return _kept(path) is not None


def digest(path: Path) -> str:
    """SHA-256 of a site file with the templates beside it; empty when it cannot be read."""
    whole = hashlib.sha256()
    try:
        templates = sorted((path.parent / "templates").glob("*.yaml"))
        for name, one in [("", path), *((one.name, one) for one in templates)]:
            body = one.read_bytes()
            whole.update(f"{name}\n{len(body)}\n".encode() + body)
    except OSError:
        return ""
    return whole.hexdigest()


def doubt(path: Path, what: str) -> bool:
    """Never start with the site of this digest until it is believed. On the disk when this returns; false: it cannot be."""
    draft = path.with_name(f".{path.name}.doubted.new")
    try:
        draft.write_text(what, encoding="ascii")
        _sync_one(draft)
        draft.replace(_doubted(path))
        _sync_one(path.parent)
    except OSError as error:
        log.warning("a changed site cannot be marked as on trial: %s", error)
        return False
    return True


def believe(path: Path) -> None:
    """Whatever was doubted is not any more."""
    try:
        _doubted(path).unlink(missing_ok=True)
        _sync_one(path.parent)
    except OSError as error:
        log.warning("the mark of a site on trial cannot be removed: %s", error)


def is_doubted(path: Path) -> bool:
    """Is what is on the disk now what is doubted?"""
    try:
        return _doubted(path).read_text(encoding="ascii", errors="replace") == digest(path) != ""
    except OSError:
        return False


def staged(path: Path) -> Path:
    """Where `stage` puts its copy of the site file."""
    return _folder(path, ".new") / path.name


def stage(path: Path) -> None:
    """Take a copy of the site file and the templates beside it: what runs now, whatever becomes of the file meanwhile."""
    draft = _folder(path, ".new")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        shutil.copy(path, draft)
        if (path.parent / "templates").is_dir():
            shutil.copytree(path.parent / "templates", draft / "templates")
        _sync(draft)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        log.warning("the site file cannot be kept as last known good: %s", error)


def drop(path: Path) -> None:
    """What was staged has not proved itself."""
    shutil.rmtree(_folder(path, ".new"), ignore_errors=True)


def keep(path: Path) -> None:
    """What was staged has proved itself: it is the last known good from now on."""
    kept, draft, old = _folder(path), _folder(path, ".new"), _folder(path, ".old")
    if not draft.exists():
        return  # it could not be staged, which was told then
    try:
        if kept.exists():
            shutil.rmtree(old, ignore_errors=True)
            kept.replace(old)
        draft.replace(kept)
        _sync_one(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.warning("the site file cannot be kept as last known good: %s", error)


def of_this_boot(path: Path) -> Starts:
    return Starts(path, boot_id())


def _kept(path: Path) -> Path | None:
    # os.access, since Path.exists raises for who may not look into the folder
    folders = (_folder(path), _folder(path, ".old"))
    return next((folder for folder in folders if os.access(folder / path.name, os.R_OK)), None)


def _same(path: Path, kept: Path) -> bool:
    """Is the kept one what the file says now? Then nothing is won by it."""
    try:
        if not filecmp.cmp(path, kept / path.name, shallow=False):
            return False
        there, here = kept / "templates", path.parent / "templates"
        names = {one.name for folder in (there, here) if folder.is_dir() for one in folder.iterdir()}
        return not any(filecmp.cmpfiles(there, here, names, shallow=False)[1:])
    except OSError:
        return False


def _sync(folder: Path) -> None:
    for one in (*folder.rglob("*"), folder):
        _sync_one(one)


def _sync_one(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _doubted(path: Path) -> Path:
    return path.with_name(f".{path.name}.doubted")


def _folder(path: Path, suffix: str = "") -> Path:
    return path.with_name(f".{path.name}.last-good{suffix}")
