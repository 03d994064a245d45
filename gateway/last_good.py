"""The last known good site: what a gateway runs when its file is refused at boot (law 8).

Guarantees
* It is kept once a site has been made into a running gateway, not before: the file and the templates beside it, in
  ``.<file>.last-good/`` beside the file. Relative paths in it still count from the site file's own folder.
* A cut while it is being kept leaves the new one or the one before.

It holds no keys and no journal; a folder that cannot be written means that there is none, and that is logged.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from gateway import config
from gateway.errors import ConfigError

log = logging.getLogger(__name__)


def load(path: Path) -> tuple[config.Site, bool]:
    """The site, and whether it is the last known good one. Raises ConfigError when there is neither."""
    try:
        return config.load(path), False
    except ConfigError as refused:
        # os.access, since Path.exists raises for who may not look into the folder
        folders = (_folder(path), _folder(path, ".old"))
        kept = next((folder for folder in folders if os.access(folder / path.name, os.R_OK)), None)
        if kept is None:
            raise
        site = config.load(kept / path.name, root=path.parent)
        for mistake in refused.mistakes:
            log.error("%s", mistake)
        log.error("%s is refused; running the last known good configuration", path)
        return site, True


def keep(path: Path) -> None:
    """Remember the site file as it is, with the templates beside it."""
    kept, draft, old = _folder(path), _folder(path, ".new"), _folder(path, ".old")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        shutil.copy(path, draft)
        if (path.parent / "templates").is_dir():
            shutil.copytree(path.parent / "templates", draft / "templates")
        if kept.exists():
            shutil.rmtree(old, ignore_errors=True)
            kept.replace(old)
        draft.replace(kept)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.warning("the site file cannot be kept as last known good: %s", error)


def _folder(path: Path, suffix: str = "") -> Path:
    return path.with_name(f".{path.name}.last-good{suffix}")
