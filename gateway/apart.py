"""The site file, read by a process of its own: YAML, pydantic and the rule library never are in the daemon's memory, and at the start
they work beside the daemon's own imports.

Guarantees
* `Reading.result` gives what `gateway.config.load` gives there, or raises its `ConfigError`; with `judge` also what a running
  gateway refuses (`gateway.keys`, `gateway.lint`).
* A reader that falls or takes longer than `LONGEST_S`, and a disk that does not give the file or a template now, are no mistakes in
  them: `Unread`, which says what happened and what to do.

What comes back is a pickle, from a pipe that only this process's own child holds.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import gateway
from gateway.blueprint import Site
from gateway.errors import PASSING, ConfigError, DiskFault
from gateway.model import Text

LONGEST_S = 60.0
FIRST_TO_GO = 500
"""Of oom_score_adj: where memory runs out the kernel takes the reader, not the daemon that reads apart for this very reason."""


class Unread(RuntimeError):
    """It is not known what the file says, and nothing in it is a mistake. Reaction: what runs goes on; a start takes the last known
    good one; where there is none it ends, and systemd starts it anew."""

    def __init__(self, text: Text, *, passing: bool = False) -> None:
        """`passing`: the machine's fault, which says nothing of the version that reads."""
        super().__init__(f"{text.en} / {text.zh}")
        self.text, self.passing = text, passing


class Reading:
    """One file that is being read, from the moment that this is made."""

    def __init__(self, path: Path, root: Path | None = None, *, judge: bool = False) -> None:
        """`root`: what relative paths in the file count from; its own folder when None. Where no process can be started, `result` says so."""
        home = str(Path(gateway.__file__).resolve().parents[1])  # the same Gengfu as this one
        rest = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        self._path = path
        self._child: subprocess.Popen[bytes] | OSError
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.apart", "judge" if judge else "load", path, root or path.parent],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([home, *rest])},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
        except OSError as error:
            self._child = error

    def result(self) -> Site:
        """Waits for it. Raises ConfigError with every mistake, or `Unread`."""
        if isinstance(child := self._child, OSError):
            why, passing = child.strerror, child.errno in PASSING
            raise _fallen(self._path, f"无法启动（{why}）", f"it cannot be started ({why})", passing=passing)
        try:
            told, _ = child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            raise _fallen(self._path, f"超过 {LONGEST_S:.0f} 秒", f"it took more than {LONGEST_S:.0f} s") from None
        finally:
            self.drop()
        if (status := child.returncode) != 0:
            killed = ("，可能内存不足", ", perhaps for want of memory") if status == -signal.SIGKILL else ("", "")
            raise _fallen(self._path, f"以 {status} 结束{killed[0]}", f"it ended with {status}{killed[1]}")
        answer = pickle.loads(told)
        if isinstance(answer, Site):
            return answer
        passing, mistakes = answer
        if passing:
            raise Unread(
                Text(f"{mistakes[0].file}：{mistakes[0].zh}", f"{mistakes[0].file}: {mistakes[0].en}"), passing=True
            )
        raise ConfigError(mistakes)

    def drop(self) -> None:
        """Nobody wants it any more."""
        if not isinstance(self._child, OSError):
            with self._child:
                self._child.kill()


def load(path: Path, root: Path | None = None) -> Site:
    """`gateway.config.load`, apart."""
    return Reading(path, root).result()


def judged(path: Path, root: Path) -> Site:
    """The same; a site that ``gengfu check`` refuses is a ConfigError too."""
    return Reading(path, root, judge=True).result()


def _fallen(path: Path, zh: str, en: str, *, passing: bool = False) -> Unread:
    return Unread(
        Text(
            f"{path} 未能读取：读取进程{zh}；查看可用内存（free）和日志（journalctl -u gengfu）后重试",
            f"{path} could not be read, its reader fell: {en}; look at the memory (free) and the log (journalctl -u gengfu), then try again",
        ),
        passing=passing,
    )


def main(what: str, path: Path, root: Path) -> None:
    """The reader."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
    from gateway import check, config, keys, lint

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the daemon
    answer = os.dup(1)
    os.dup2(2, 1)  # what anything else prints is no answer
    try:
        site = config.load(path, root=root)
        if what == "judge" and (mistakes := [*keys.mistakes(site), *lint.late(site, check.report(site))]):
            raise ConfigError(mistakes)
        told: object = site
    except ConfigError as error:
        told = (isinstance(error, DiskFault), error.mistakes)
    with open(answer, "wb") as pipe:
        pickle.dump(told, pipe, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
