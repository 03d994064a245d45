"""The version that runs, as systemd/trial.sh sees it: proved once it has run for a minute, or undone.

Guarantees
* A version that has run for a minute is named in ``$STATE_DIRECTORY/proved``, whole or not at all, also after a power cut;
  a new one that never comes to that is left by trial.sh.
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
    """It has run for a minute. Nothing is noted where no service manager gave a folder for it."""
    if not (state := os.environ.get("STATE_DIRECTORY")):
        return
    note = Path(state) / "proved"
    draft = note.with_suffix(".new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(f"{folder().name}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(note)
    except OSError as error:
        log.warning("it cannot be noted that this version runs: %s", error)


def undone() -> str:
    """The version that was left because it did not run; empty where there is none."""
    try:
        return (folder().parent / "undone").read_text(encoding="utf-8", errors="replace").strip()[:80]
    except OSError:
        return ""
