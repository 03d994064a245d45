"""The local control socket: status and a person's commands, one JSON object a line, over a Unix socket.

Guarantees
* Only the owner and group of the daemon reach it (0660, in a directory of the site); each command is recorded with the
  person: the name given, and the user id that the kernel vouches for (SO_PEERCRED).
* A line is at most 64 KiB, a connection that sends nothing for a minute is closed, at most 16 are open.
* A command enters the pipeline like a key or a signed message would; an answer says what became of it, in both languages,
  and what it says was done is on the disk before it is said (or half a second has passed: law 5).

Requests: ``{"do": "status" | "points" | "alarms" | "read", "device": …}`` or ``{"do": an `Action`, "alarm": …,
"who": …, "why": …, "for_s": seconds, "value": …}``. Answers: ``{"ok": true, …}`` or ``{"ok": false, "zh": …, "en": …}``.
"""

from __future__ import annotations

import asyncio
import json
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.model import Action, Command, Text
from gateway.restart import Guard

LINE_BYTES = 64 * 1024
LONGEST_S = 366 * 86400.0
NAMED = frozenset(Action) - {Action.ACKNOWLEDGE, Action.RESET, Action.DUTY_CHECK}
"""What nobody does without a name: the kernel's user id is that of the cabinet, not of a person."""
VALUE = 2000
"""A partition may be armed without many named zones."""
IDLE_S = 60.0
CONNECTIONS = 16
Answer = dict[str, Any]
View = Callable[[Mapping[str, Any]], Answer]
"""Answers one kind of question; raises `Refused`."""


@dataclass(slots=True)
class Caller:
    """Who is at the other end of a connection, for as long as it lives."""

    peer: str
    gone: Callable[[], bool]
    leaving: list[Callable[[], None]] = field(default_factory=list)
    """Called when the connection ends, however it ends."""


Talk = Callable[[Mapping[str, Any], Caller], Awaitable[Answer]]
"""Answers a request that takes time; raises `Refused`."""


class Refused(Exception):
    """A request that cannot be met; the person is told why."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class Control:
    """Serves the socket. `views` answer questions; `command` carries a person's command into the pipeline."""

    def __init__(
        self,
        path: Path,
        views: Mapping[str, View],
        command: Callable[[Command], Text | None],
        clock: Clock,
        guard: Guard,
        written: Callable[[], Awaitable[None]] | None = None,
        talks: Mapping[str, Talk] | None = None,
    ) -> None:
        """`written` is awaited before a command is answered."""
        self._path = path
        self._views = views
        self._command = command
        self._clock = clock
        self._guard = guard
        self._written = written
        self._talks = talks or {}
        self._open = 0

    async def run(self) -> None:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if self._path.exists() and not self._path.is_socket():
            raise FileExistsError(f"{self._path} is no socket: it is not removed")
        self._path.unlink(missing_ok=True)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.bind(str(self._path))
            # Not by umask(2): that is the whole process's, and the journal's threads make files meanwhile.
            self._path.chmod(0o660)
            server = await asyncio.start_unix_server(self._serve, sock=channel, limit=LINE_BYTES)
        except BaseException:
            channel.close()
            raise
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS:
            writer.close()
            return
        self._open += 1
        caller = Caller(_peer(writer), reader.at_eof)
        try:
            while line := await asyncio.wait_for(reader.readline(), IDLE_S):
                answer = await self._talk(line, caller) or self.answer(line, caller.peer)
                if self._written and "who" in answer:
                    await self._written()
                writer.write(encoded(answer))
                await asyncio.wait_for(writer.drain(), IDLE_S)
        except (TimeoutError, ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass  # gone, silent or sending an endless line: the connection ends, nothing else does
        except asyncio.CancelledError:
            pass  # the gateway ends, and this task is only the connection's; Python 3.11 would log its end as an error
        finally:
            self._open -= 1
            writer.close()
            for leave in caller.leaving:
                leave()

    async def _talk(self, line: bytes, caller: Caller) -> Answer | None:
        """The answer to a request of a tool, which may take time; None: it is another one."""
        try:
            request: Any = json.loads(line) if self._talks else None
        except (ValueError, RecursionError):
            return None
        talk = self._talks.get(str(request.get("do"))) if isinstance(request, dict) else None
        if talk is None:
            return None

        async def told() -> Answer:
            try:
                return {"ok": True, **await talk(request, caller)}  # it may say "ok": false and tell more
            except Refused as error:
                return _no(error.text)

        return await self._guard.wait("control", told()) or _no(Text("内部错误，已记录", "internal error, logged"))

    def answer(self, line: bytes, peer: str) -> Answer:
        """The answer to one request line; never raises for what the line holds."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise Refused(Text("请求必须是一个 JSON 对象", "a request is one JSON object"))
            answer = self._guard.call("control", lambda: self._perform(request, peer))
            return answer or _no(Text("内部错误，已记录", "internal error, logged"))
        except (ValueError, RecursionError):
            return _no(Text("不是有效的 JSON", "not valid JSON"))
        except Refused as error:
            return _no(error.text)

    def _perform(self, request: Mapping[str, Any], peer: str) -> Answer:
        do = str(request.get("do", ""))
        try:
            if view := self._views.get(do):
                return {"ok": True, **view(request)}
            if do not in {action.value for action in Action}:
                known = ", ".join([*self._views, *(action.value for action in Action)])
                raise Refused(Text(f"未知请求；可用：{known}", f"unknown request; known: {known}"))
            command = self._asked(Action(do), request, peer)
            refused = self._command(command)
        except Refused as error:
            return _no(error.text)
        return _no(refused) if refused else {"ok": True, "who": command.who}

    def _asked(self, action: Action, request: Mapping[str, Any], peer: str) -> Command:
        """A person's command, every part of it bounded; raises `Refused`."""
        name = str(request.get("who") or "").strip()[:80]
        if action in NAMED and not name:
            raise Refused(Text("须说明由谁操作（who）", "say who you are (who)"))
        return Command(
            action,
            str(request.get("alarm", ""))[:200],
            f"{name} ({peer})".strip(),
            self._clock.monotonic(),
            str(request.get("why") or "").strip()[:200],
            _seconds(request.get("for_s")),
            str(request.get("value") or "")[:VALUE],
        )


def _seconds(given: object) -> float | None:
    """How long, as a request says it; None where it does not."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= LONGEST_S:
        raise Refused(Text("for_s 须为大于 0 的秒数", "for_s is a number of seconds above 0"))
    return float(given)


def _no(text: Text) -> Answer:
    return {"ok": False, "zh": text.zh, "en": text.en}


def encoded(answer: Answer) -> bytes:
    """The line that goes back. A lone surrogate, which JSON may carry and UTF-8 may not, becomes a question mark."""
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _peer(writer: asyncio.StreamWriter) -> str:
    """The user behind the connection, as the kernel knows it."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("3i", raw)
    try:
        return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"
    except KeyError:
        return f"uid {uid}"


def ask(path: Path, request: Mapping[str, Any], timeout_s: float = 5.0) -> Answer:
    """One question from the outside (the command line). Raises OSError when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout_s)
        channel.connect(str(path))
        channel.sendall(json.dumps(request).encode() + b"\n")
        with channel.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise ConnectionError("the gateway closed the connection without an answer")
    answer: Answer = json.loads(line)
    return answer
