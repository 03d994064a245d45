"""The site file, read by a process of its own: YAML, pydantic and the rule library never are in the daemon's memory, and at the start
they work beside the daemon's own imports.

Guarantees
* `Reading.result` gives what `gateway.config.load` gives there, or raises its `ConfigError`; with `judge` also what a running
  gateway refuses (`gateway.keys`, `gateway.lint`).
* A reader that falls, or takes longer than `LONGEST_S`, is no mistake in the file: RuntimeError, after which a start takes the last
  known good, or ends and systemd starts it anew.

What comes back is a pickle, from a pipe that only this process's own child holds.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import gateway
from gateway.blueprint import Site
from gateway.errors import ConfigError

LONGEST_S = 60.0
FIRST_TO_GO = 500
"""Of oom_score_adj: where memory runs out the kernel takes the reader, not the daemon that reads apart for this very reason."""
PASSING = frozenset((errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT))
"""What a disk or a machine says that fails now and may be well in a second: to end with 78 for that would be for good."""


class Reading:
    """One file that is being read, from the moment that this is made."""

    def __init__(self, path: Path, root: Path | None = None, *, judge: bool = False) -> None:
        """`root`: what relative paths in the file count from; its own folder when None. OSError: no process can be started."""
        home = str(Path(gateway.__file__).resolve().parents[1])  # the same Gengfu as this one
        rest = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        self._path = path
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway.apart", "judge" if judge else "load", path, root or path.parent],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([home, *rest])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    def result(self) -> Site:
        """Waits for it. Raises ConfigError with every mistake."""
        try:
            told, _ = self._child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self._path} could not be read within {LONGEST_S:.0f} s") from None
        finally:
            self.drop()
        if self._child.returncode != 0:
            raise RuntimeError(f"{self._path} could not be read: its reader ended with {self._child.returncode}")
        answer = pickle.loads(told)
        if isinstance(answer, Site):
            return answer
        raise ConfigError(answer)

    def drop(self) -> None:
        """Nobody wants it any more."""
        with self._child:
            self._child.kill()


def load(path: Path, root: Path | None = None) -> Site:
    """`gateway.config.load`, apart."""
    return Reading(path, root).result()


def judged(path: Path, root: Path) -> Site:
    """The same; a site that ``gengfu check`` refuses is a ConfigError too."""
    return Reading(path, root, judge=True).result()


def _ask_disk(path: Path) -> None:
    """Raises OSError, with which the reader falls, when the file cannot be read now for no mistake of anybody."""
    try:
        if path.is_file():  # else it is a mistake, and a pipe would keep us waiting
            with path.open("rb") as file:
                file.read(1)
    except OSError as error:
        if error.errno in PASSING:
            raise


def main(what: str, path: Path, root: Path) -> None:
    """The reader."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
    from gateway import check, config, keys, lint

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon
    answer = os.dup(1)
    os.dup2(2, 1)  # what anything else prints is no answer
    _ask_disk(path)
    try:
        site = config.load(path, root=root)
        if what == "judge" and (mistakes := [*keys.mistakes(site), *lint.late(site, check.report(site))]):
            raise ConfigError(mistakes)
        told: object = site
    except ConfigError as error:
        told = error.mistakes
    with open(answer, "wb") as pipe:
        pickle.dump(told, pipe, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
