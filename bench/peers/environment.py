"""Environments of the peers: made once by pip or npm in a folder of their own, and used again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def pip(folder: Path, packages: Sequence[str]) -> Path:
    """A virtual environment with exactly these at the top; its folder. Takes minutes the first time."""
    return _once(
        folder,
        packages,
        [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        ],
    )


def npm(folder: Path, packages: Sequence[str]) -> Path:
    command = ["npm", "install", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error", "--prefix", str(folder)]
    return _once(folder, packages, [[*command, *packages]])


def _once(folder: Path, packages: Sequence[str], commands: Sequence[Sequence[str]]) -> Path:
    ready, wanted = folder / "ready", "\n".join(packages)
    if not ready.exists() or ready.read_text() != wanted:
        sys.stderr.write(f"peers: installing {', '.join(packages)}\n")
        folder.mkdir(parents=True, exist_ok=True)
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        ready.write_text(wanted)
    return folder
