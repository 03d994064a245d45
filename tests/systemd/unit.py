"""Reads gengfu.service as far as the tests need it."""

import subprocess
from functools import cache
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "systemd" / "gengfu.service"


@cache
def options():
    """Option -> its values, in order; an option is named once whatever its section."""
    found = {}
    for line in PATH.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def option(name):
    """The value of an option that is given once."""
    (value,) = options()[name]
    return value


@cache
def members(group):
    """The system calls of a group such as @system-service, as this machine's systemd knows it."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", group], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    names = {line.strip() for line in told.stdout.splitlines()[1:] if not line.strip().startswith("#")}
    return frozenset().union(*(members(name) if name.startswith("@") else {name} for name in names if name))


def allowed_calls():
    """What SystemCallFilter= comes to: its lines add or (~) take away, one after the other; @default is always there."""
    allowed = set(members("@default"))
    for line in options()["SystemCallFilter"]:
        named = line.removeprefix("~").split()
        calls = frozenset().union(*(members(name) if name.startswith("@") else {name} for name in named))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return sorted(allowed)
