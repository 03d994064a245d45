"""Errors, sorted by who reacts to them (not by what went wrong).

| family          | who reacts | reaction                                                             |
|-----------------|------------|----------------------------------------------------------------------|
| `ConfigError`   | `app`      | all mistakes are printed; a running site keeps what it has           |
| `BusError`      | `poller`   | the device's points become BAD with the error's quality; it backs off |
| `DeliveryError` | `uplink`   | the record is kept and tried again, or set aside as rejected         |
| `LinkError`     | `uplink`   | it waits (back-off with jitter) and connects anew                    |
| `StorageError`  | `pipeline` | the alarm is announced all the same, marked not durable; a fault     |

Anything else is a bug: `gateway.restart` guards it, logs it once and tries again with back-off.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from gateway.model import Quality, Scan, Text


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: where it is, what is wrong and what to do about it, in Chinese and English."""

    file: str
    line: int
    path: str
    """Dotted path inside the file, such as ``devices[3].address``; empty for the file as a whole."""
    en: str
    zh: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.en} / {self.zh}" if self.path else f"{where}: {self.en} / {self.zh}"


class ConfigError(Exception):
    """A site file, template or certificate that cannot be used. Carries every mistake found, never only the first.

    Reaction: `app` refuses the whole file and keeps what runs; at boot the last known good file is taken, with a
    fault raised; exit 78 (EX_CONFIG, which systemd does not restart) only if there is none.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class DiskFault(ConfigError):
    """The machine does not give a file now: no mistake of anybody's, and it may be well in a second.

    Reaction: a person who asks is told as of a mistake; the daemon never takes it for one (`gateway.apart.Unread`).
    """


class BusError(Exception):
    """A device gave no value: no reply, a frame that cannot be trusted, or a refusal.

    Reaction: the poller turns it into a scan whose points are all BAD with `quality`; that device alone backs off.
    When some of the group had been read before the failure, `scan` holds it, with the rest BAD: the poller takes that
    in place of all BAD, so that a fire bit is not lost because a counter behind it could not be read.
    """

    def __init__(self, quality: Quality, message: str) -> None:
        super().__init__(message)
        self.quality = quality
        self.scan: Scan | None = None


class DeliveryError(Exception):
    """The broker did not take a record. Reaction: the uplink keeps it (`retry`) or sets it aside as rejected."""

    def __init__(self, message: str, *, retry: bool, reason_code: int = 0) -> None:
        super().__init__(message)
        self.retry = retry
        self.reason_code = reason_code


class LinkError(Exception):
    """No connection to the broker, or no longer one. Reaction: the uplink waits and connects anew.

    `refused`: a person must act (certificate, key, name, permission); the health watch raises its own fault for it.
    """

    def __init__(self, words: str, *, refused: bool = False) -> None:
        super().__init__(words)
        self.refused = refused


class StorageError(Exception):
    """The disk failed a commit or a read. Reaction: the pipeline announces alarms anyway and raises a storage fault."""


PASSING = {
    errno.EIO: "磁盘读写错误",
    errno.ESTALE: "网络磁盘断开",
    errno.ETIMEDOUT: "网络磁盘超时",
    errno.ENOMEM: "内存不足",
    errno.EAGAIN: "进程过多",
    errno.EMFILE: "打开的文件过多",
    errno.ENFILE: "打开的文件过多",
}
"""What a machine says that fails now: to end with 78 for that would be for good."""


def unreadable(error: OSError | ValueError) -> Text:
    """Why a file cannot be read."""
    why = error.strerror if isinstance(error, OSError) else str(error)
    number = error.errno or 0 if isinstance(error, OSError) else 0
    if number in PASSING:
        return Text(
            f"系统暂时无法读取（{PASSING[number]}），并非文件有误：检查磁盘和内存后重试",
            f"cannot be read now ({why}), which is no mistake in the file: look at the disk and memory, then try again",
        )
    known = {errno.ENOENT: "文件不存在", errno.EACCES: "没有权限", errno.EISDIR: "是目录"}
    return Text(f"无法读取：{known.get(number) or why}", f"cannot be read: {why}")


def unread(file: str, error: OSError | ValueError) -> ConfigError:
    """To be raised for a file that is needed."""
    text = unreadable(error)
    passing = isinstance(error, OSError) and error.errno in PASSING
    return (DiskFault if passing else ConfigError)([Mistake(file, 1, "", text.en, text.zh)])
