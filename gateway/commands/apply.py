"""``gengfu apply``: a changed site file, into the running gateway. What it promises is in `gateway.changing`.

With FILE it is this program that writes the site file, for the daemon cannot: beside it first, then, when the gateway has
found it without mistakes, by one rename; the old bytes are put back when the change is refused or undone. Which file that is the
gateway says, and may be in wrong hands while this is root: it is believed only where it has kept a site of its own, and no
link can lead elsewhere.

Exit status: 0 it runs and has proved itself, or there was nothing to change; 1 refused, or no gateway answers; 3 undone by
the gateway; 78 mistakes in the file. The reason is printed; except for 0 the site is the one from before.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.status import Status

from gateway import last_good
from gateway.commands.console import EX_CONFIG, AsJson, Socket, Who, Why, control_socket, err, out, table
from gateway.control import ask

EX_UNDONE = 3
PATIENCE_S = 120.0
"""A large site on a small box is validated in seconds; its disk may hang for as long as the watchdog lets it."""
AWAY_S = 60.0
"""A gateway that does not answer for so long during a trial does not come back soon."""
SECTIONS = {"buses": "buses 总线", "devices": "devices 设备", "alarms": "alarms 报警", "uplinks": "uplinks 上行"}
WORDS = {
    "plan": "no mistakes; nothing was changed 无错误，未作更改",
    "nothing": "nothing to change: it runs already 无需更改，已在运行",
    "proved": "proved: it is the last known good one now 已确认",
}
FEW = 8


def apply(
    file: Annotated[
        Path | None, typer.Argument(help="The changed site file; else the one in its place. 新站点文件")
    ] = None,
    who: Who = "",
    why: Why = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change. 只列出将发生的更改")] = False,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Change the site of the running gateway; undone by itself if within 60 s something is lost. 应用更改后的站点文件

    Only what changed starts again; alarms stay as they are. Exit status: 0 done, 1 refused, 3 undone, 78 mistakes.
    """
    asking = _Asking(control_socket(socket), as_json)
    named = Path(asking.answer({"do": "site"})["file"])
    site = Path(os.path.realpath(named.parent), named.name)
    given = file if file is not None and file.resolve() != site.resolve() else None
    with _put(site, given) as placed:
        end = _tried(asking, placed, (named, given), {"do": "apply", "who": who, "why": why}, dry_run=dry_run)
    if end["stage"] != "undone":
        asking.end(end)
        return
    if placed is not None:
        with contextlib.suppress(OSError):  # what runs is in its place again: no fault any more
            ask(asking.path, {"do": "apply", "who": who, "why": "put back 已恢复"}, PATIENCE_S)
    asking.undone(end, site, put_back=placed is not None)
    raise typer.Exit(EX_UNDONE)


def _tried(
    asking: _Asking, placed: _Placed | None, names: tuple[Path, Path | None], request: dict[str, Any], *, dry_run: bool
) -> dict[str, Any]:
    """What became of it, at the end of the trial."""
    if dry_run or placed is not None:
        plan = asking.answer({"do": "apply", "dry": True, "draft": placed is not None}, names)
        if dry_run:
            return plan
        request["expected"] = plan["digest"]
    if placed is not None:
        placed.replace()
    told = asking.answer(request, names)
    if placed is not None:
        placed.stays = True  # whatever becomes of this program: from here on the gateway sees to it
    if told["stage"] != "trial":
        return told
    end = told | asking.follow(told)
    if placed is not None:
        placed.stays = end["stage"] == "proved"
    return end


@dataclass
class _Placed:
    """A changed site file on its way into its place."""

    site: Path
    draft: Path
    before: bytes
    replaced: bool = False
    stays: bool = False

    def replace(self) -> None:
        os.replace(self.draft, self.site)
        _sync(self.site.parent)
        self.replaced = True

    def end(self) -> None:
        """It is as it was, unless it stays."""
        if self.replaced and not self.stays:
            _write(self.draft, self.before, self.site)
            self.replace()
        self.draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _put(site: Path, given: Path | None) -> Iterator[_Placed | None]:
    """`given` beside the site file, ready to take its place; None where it is in its place already."""
    if given is None:
        yield None
        return
    if not _believable(site):
        sudo = ("Try sudo; or put", "请用 sudo 重试，或") if os.geteuid() else ("Put", "请")
        err.print(
            f"{site}, which the gateway names, does not look like its site file: no last known good one is seen beside it, or it is a "
            f"link, or it or its folder is somebody else's. {sudo[0]} {given} in its place yourself, then: gengfu apply",
            markup=False,
        )
        err.print(
            f"网关所指的 {site} 不像其站点文件：旁边看不到上次有效配置，或为链接，或文件、目录属于他人；"
            f"{sudo[1]}自行将 {given} 放到该处，再执行 gengfu apply",
            markup=False,
        )
        raise typer.Exit(1)
    draft = _draft(site)
    try:
        placed = _Placed(site, draft, site.read_bytes())
        _write(draft, given.read_bytes(), site)
    except OSError as error:
        err.print(f"{error.filename}: {error.strerror}; who may write {site}? Try sudo. 无权写入站点文件", markup=False)
        raise typer.Exit(1) from None
    try:
        yield placed
    finally:
        placed.end()


def _believable(site: Path) -> bool:
    """The gateway keeps its last known good one beside it; neither it nor its way, without links, is anybody's but root's or ours: a
    file of the gateway's own could become a link between two looks."""
    way = (site, *site.parents)
    try:
        owners = {one.lstat().st_uid for one in way}
    except OSError:
        return False
    return last_good.is_kept(site) and owners <= {0, os.geteuid()} and not any(one.is_symlink() for one in way)


def _draft(site: Path) -> Path:
    return site.with_name(f".{site.name}.draft")


def _write(path: Path, body: bytes, like: Path) -> None:
    """On the disk when this returns, with the owner and the mode of `like`."""
    there = like.stat()
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(number, "wb") as stream:
        if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(number, there.st_uid, there.st_gid)
        os.fchmod(number, there.st_mode & 0o777)
        stream.write(body)
        stream.flush()
        os.fsync(number)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class _Asking:
    """The gateway, and how its answers are shown."""

    def __init__(self, path: Path, as_json: bool) -> None:
        self.path, self._as_json = path, as_json

    def answer(self, request: dict[str, Any], draft: tuple[Path, Path | None] | None = None) -> dict[str, Any]:
        """Exits with the reason when there is none. `draft`: the site file and what a person calls it."""
        try:
            answer = ask(self.path, request, PATIENCE_S)
        except OSError as error:
            reason = error.strerror or str(error)
            err.print(f"no gateway answers at {self.path} ({reason}) 无网关应答；--socket", markup=False)
            raise typer.Exit(1) from None
        if answer.pop("ok"):
            return answer
        if draft is not None and draft[1] is not None:
            for told in (answer, *answer.get("mistakes", ())):
                for name in {"file", "en", "zh"} & told.keys():
                    told[name] = told[name].replace(str(_draft(draft[0])), str(draft[1]))
        for one in answer.get("mistakes", ()):
            where = f"{one['file']}:{one['line']}: " + (f"{one['path']}: " if one["path"] else "")
            if not self._as_json:
                err.print(f"{where}{one['en']} / {one['zh']}", markup=False, highlight=False, soft_wrap=True)
        if self._as_json:
            self._print({"stage": "refused", **answer})
        else:
            err.print(f"{answer['en']} / {answer['zh']}", markup=False)
        raise typer.Exit(EX_CONFIG if "mistakes" in answer else 1)

    def follow(self, told: dict[str, Any]) -> dict[str, Any]:
        """Until the trial is over: what became of it."""
        if not self._as_json:
            self._show(told)
            err.print(f"applied, on trial for {told['for_s']:.0f} s 已应用，试运行 {told['for_s']:.0f} 秒")
            if not told["revertible"]:
                err.print(
                    "beside the site file nothing can be kept: a restart within the trial would take the new one."
                )
                err.print("站点文件所在目录不可写：试运行期间若重启将使用新文件。")
        line = Status("", console=err) if err.is_terminal and not self._as_json else None
        with line or contextlib.nullcontext():
            return self._wait(line)

    def _wait(self, line: Status | None) -> dict[str, Any]:
        answered = time.monotonic()
        while time.monotonic() - answered < AWAY_S:
            with contextlib.suppress(OSError, ValueError):
                state = ask(self.path, {"do": "site"})
                answered = time.monotonic()
                if state["stage"] == "":  # it was started again meanwhile
                    why = {"en": "the gateway was started again within the trial", "zh": "试运行期间网关重新启动"}
                    return {**state, "stage": "undone", **why}
                if state["stage"] != "trial":
                    return state
                if line is not None:
                    line.update(f"on trial for {state['left_s']:.0f} s more 试运行剩余 {state['left_s']:.0f} 秒")
            time.sleep(0.5)
        return {"stage": "undone", "en": "the gateway does not answer any more", "zh": "网关不再应答"}

    def undone(self, end: dict[str, Any], site: Path, *, put_back: bool) -> None:
        if self._as_json:
            self._print(end | {"put_back": put_back})
            return
        err.print(f"undone: {end['en']}. The site from before runs.", markup=False)
        err.print(f"已撤销：{end['zh']}。原配置继续运行。", markup=False)
        if not put_back:
            err.print(
                f"{site} still says otherwise: put it right and apply again. 请改正文件后重新应用。", markup=False
            )

    def end(self, told: dict[str, Any]) -> None:
        if self._as_json:
            self._print(told)
            return
        if told["stage"] == "plan":
            self._show(told)
        out.print(WORDS[told["stage"]])

    def _show(self, told: dict[str, Any]) -> None:
        rows = [
            (SECTIONS.get(section, section), *(_few(edits.get(how, ())) for how in ("new", "changed", "gone")))
            for section, edits in told["change"].items()
            if isinstance(edits, dict)
        ]
        out.print(table("", ("", "new 新增", "changed 更改", "gone 移除"), rows))
        if other := told["change"].get("other"):
            out.print(f"also 另有: {', '.join(other)}", markup=False)
        for name, state in told["gone"].items():
            out.print(f"alarm {name} ({state}) leaves the site 报警随站点移除", markup=False, style="bold red")

    def _print(self, told: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def _few(ids: list[str] | tuple[str, ...]) -> str:
    more = f" … (+{len(ids) - FEW})" if len(ids) > FEW else ""
    return ", ".join(ids[:FEW]) + more
