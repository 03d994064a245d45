"""The version that runs, as systemd/trial.sh sees it: proved once it has run for a minute, or undone.

Guarantees
* A version that has run for a minute leaves the mark ``proved-<version>`` in ``$STATE_DIRECTORY``, also after a power cut; a new
  one that never comes to that is left by trial.sh. It is the mark of the version before, renamed: a full disk has room for it.
  Where the disk takes no name either, the mark in ``$RUNTIME_DIRECTORY`` counts, until this run ends.
* `undone` names a version that was left so, until the next update; the gateway raises an alarm for it.

It compares nothing and changes no version: the daemon cannot write where versions lie.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

log = logging.getLogger(__name__)


def folder() -> Path:
    """Of the version that runs, such as /opt/gengfu/0.1.0."""
    return Path(sys.prefix).resolve()


def prove() -> None:
    """It has run for a minute. Nothing is noted where no service manager gave folders for it."""
    for kind in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        if place := os.environ.get(kind):
            try:
                _mark(Path(place))
            except OSError as error:
                log.warning("it cannot be noted in %s that this version runs: %s", place, error)


def _mark(place: Path) -> None:
    mark = place / f"proved-{folder().name}"
    for earlier in place.glob("proved*"):
        earlier.replace(mark)
    mark.touch()
    number = os.open(place, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def undone() -> str:
    """The version that was left because it did not run; empty where there is none. One that runs was not: its way back was
    cut off after the first step."""
    try:
        name = (folder().parent / "undone").read_text(encoding="utf-8", errors="replace").strip()[:80]
    except OSError:
        return ""
    return "" if name == folder().name else name
