"""Private keys on the disk: who can read one? One answer for the uplink that loads it and for `gengfu check`."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_open(path: Path) -> bool:
    """Can others than the owner read this private key? Raises OSError.

    A credential of systemd (LoadCredential=) is mode 0440 under an access list for this service alone: what looks like the
    group's right is the list's mask. It lies in a folder that systemd made for this service and named to it.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and path.resolve().parent == Path(folder).resolve() and not _others(Path(folder)):
        return bool(mode & 0o007)
    return bool(mode & 0o077)


def _others(folder: Path) -> bool:
    return bool(stat.S_IMODE(folder.stat().st_mode) & 0o007)
