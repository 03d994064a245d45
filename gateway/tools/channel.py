"""The running gateway's control socket, as a tool uses it: one connection, many short requests."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from gateway.model import Text

ANSWER_S = 30.0


class ToolError(Exception):
    """A tool cannot go on; the text says why and what to do. Reaction: the command prints it and exits 1."""

    def __init__(self, text: Text) -> None:
        super().__init__(f"{text.en} / {text.zh}")
        self.text = text


class Channel:
    """A connection on which the tool has said who uses it. A context manager."""

    def __init__(self, path: Path, tool: str, who: str, why: str = "") -> None:
        """Raises OSError when nobody answers, `ToolError` when the gateway refuses."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(str(path))
            self._stream = self._socket.makefile("rb")
            self.about = self.ask({"do": "tool", "tool": tool, "who": who, "why": why})
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises `ToolError` for a refusal or a gateway that went away."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._stream.readline()
            answer: dict[str, Any] = json.loads(line) if line else {}
        except (OSError, ValueError):
            answer = {}
        if not answer:
            raise ToolError(Text("网关已断开连接", "the gateway has closed the connection"))
        if not answer.pop("ok"):
            raise ToolError(Text(answer["zh"], answer["en"]))
        return answer
