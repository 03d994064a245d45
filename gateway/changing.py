"""A changed site, in a gateway that goes on watching: `gengfu apply` and SIGHUP (R6).

Guarantees
* The file is validated whole, with the templates beside it, its uplinks' keys and what ``gengfu check`` refuses; with one
  mistake nothing is touched. All of that happens beside the loop.
* Only what changed starts again (`gateway.change`). All others keep their port, session, schedule and delays; alarms stay in
  their state (`rules.engine.Engine.succeed`). The switch is one turn of the loop, and one commit of the alarm lane with its record.
* For `trial.Terms.proved_s` it is on trial (`gateway.trial`). What is worse than before is undone by itself, with the states of alarms
  that had left; then the fault `last_known_good` stands, for the file says another thing than what runs.

Who writes what. The site file is root's, and the daemon cannot write it: ``gengfu apply FILE`` (run by root) puts FILE in its place by a
rename, after the running gateway has found it without mistakes, and puts the old bytes back when it was refused or undone.
The daemon writes only beside it (`gateway.last_good`): the last known good site, the copy on trial, and the mark of doubt.

What a power cut or kill -9 leaves to start with, and never a mixture of them:

| moment                                                   | the next start runs                                    |
|----------------------------------------------------------|--------------------------------------------------------|
| before FILE is in place                                  | the old site                                           |
| FILE in place, not yet doubted                           | the new one, which was validated whole                 |
| doubted: from before the switch to the end of the trial  | the old one, kept as last known good, with the fault   |
| proved: kept, and no longer doubted                      | the new one                                            |
| undone                                                   | the old one: as last known good, or put back           |

Where the folder of the site file cannot be written there is no last known good: then a start always takes the file.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gateway import apart, last_good, trial
from gateway.blueprint import Site
from gateway.change import Change, compare
from gateway.control import Answer, Caller, Refused
from gateway.crew import Crew, Run
from gateway.errors import ConfigError
from gateway.mind import Left, Mind, mind
from gateway.model import Text
from gateway.parts import Parts
from gateway.restart import Guard
from gateway.shelf import Shelf
from gateway.store.worker import Worker
from gateway.wire import payloads

log = logging.getLogger("gengfu")
NAMED = 100
"""So many ids of a list go into a record."""
ITSELF = "gengfu"
"""Who undoes a change."""
BUG = Text("内部错误，已记录；未作更改", "internal error, logged; nothing was changed")


@dataclass(frozen=True, slots=True)
class Trial:
    """A site that has to prove itself, and what there was before it."""

    before: trial.Seen
    mind: Mind
    digest: str
    left: Left
    uplinks: tuple[str, ...]
    """Those that changed."""


class Changing:
    """Holds what runs; `renewed` is called after each switch, to start again what hangs on the site besides."""

    def __init__(
        self,
        path: Path,
        parts: Parts,
        crew: Crew,
        disk: Worker,
        proved: Callable[[], None],
        renewed: Callable[[Change], None],
        terms: trial.Terms,
    ) -> None:
        """`disk`: what is written beside the file goes through it. `proved` is told when the site has proved itself."""
        self._path, self._parts, self._crew = path, parts, crew
        self._shelf = Shelf(path, disk)
        self._proved, self._renewed, self._terms = proved, renewed, terms
        self._guard: Guard = parts.guard
        self._clock = parts.clock
        self._busy = False
        self._trial: Trial | None = None
        self._restored: frozenset[str] = frozenset()
        """Buses that worked before the change that was undone last, and when that was."""
        self._restored_at = -math.inf
        self._digest = ""
        """Of the site that runs."""
        self._last: dict[str, Any] = {"stage": "", "zh": "", "en": ""}

    # -- the site of the start -------------------------------------------------------------------------------------

    async def prove(self) -> None:
        """It becomes the last known good one after a minute; at once where there is none yet."""
        fallback = self._parts.fallback
        self._digest = await (self._shelf.digest(self._parts.site.source) if fallback else self._shelf.begin())
        await self._outlast()
        if not fallback:
            await self._shelf.prove()
        await asyncio.Event().wait()

    async def _outlast(self) -> None:
        """To have run for so long proves more than a site: neither the version nor what was started makes gateways crash."""
        await self._clock.sleep_until(self._clock.monotonic() + self._terms.proved_s)
        await self._shelf.do(self._proved)

    # -- what people ask -------------------------------------------------------------------------------------------

    def views(self) -> dict[str, Callable[[Mapping[str, Any]], Answer]]:
        return {"site": lambda _: self.status()}

    def talks(self) -> dict[str, Callable[[Mapping[str, Any], Caller], Any]]:
        return {"apply": self._asked}

    def status(self) -> Answer:
        """Which site runs, and how far a change has come: ``trial`` (then `left_s`), ``proved``, ``undone`` with the reason."""
        on = self._trial
        left_s = max(0.0, self._terms.proved_s - (self._clock.monotonic() - on.before.at)) if on else 0.0
        return {
            "file": str(self._path.absolute()),
            "running": self._digest,
            "fallback": self._parts.fallback,
            **self._last,
            "left_s": round(left_s, 1),
        }

    async def _asked(self, request: Mapping[str, Any], caller: Caller) -> Answer:
        dry, who = request.get("dry") is True, str(request.get("who") or "").strip()[:80]
        if not who and not dry:
            raise Refused(Text("请说明操作人（--who）", "say who you are (--who)"))
        try:
            return await self.apply(
                f"{who} ({caller.peer})",
                str(request.get("why") or "").strip()[:200],
                dry=dry,
                draft=dry and request.get("draft") is True,
                expected=str(request.get("expected") or ""),
            )
        except ConfigError as error:
            text = Text("站点文件有误，未作更改", "the site file has mistakes; nothing was changed")
            return {"ok": False, **text._asdict(), "mistakes": [asdict(one) for one in error.mistakes]}

    async def hang_up(self) -> None:
        """SIGHUP: nobody waits for an answer."""
        try:
            answer = await self.apply("SIGHUP", "")
        except ConfigError as error:
            for mistake in error.mistakes:
                log.error("%s", mistake)
            log.error("the site file has mistakes; nothing was changed 站点文件有误，未作更改")
        except Refused as error:
            log.error("the site file is not applied: %s / %s", error.text.en, error.text.zh)
        else:
            log.info("site file read again: %s", answer["stage"])

    async def apply(self, who: str, why: str, *, dry: bool = False, draft: bool = False, expected: str = "") -> Answer:
        """Read the file anew and run it. Raises ConfigError with every mistake, `Refused` with the reason.

        `dry`: only say what would happen; then `draft` reads ``.<file>.draft`` beside it instead. `expected`: digest that was
        found without mistakes before."""
        if self._trial is not None:
            left_s = self._terms.proved_s - (self._clock.monotonic() - self._trial.before.at)
            raise Refused(
                Text(
                    f"上次更改仍在试运行，请 {left_s:.0f} 秒后再试",
                    f"the last change is on trial for {left_s:.0f} s more",
                )
            )
        if self._busy:
            raise Refused(Text("另一次更改正在进行", "another change is under way"))
        self._busy = True
        try:
            return await self._apply(who, why, dry=dry, draft=draft, expected=expected)
        finally:
            self._busy = False

    async def _apply(self, who: str, why: str, *, dry: bool, draft: bool, expected: str) -> Answer:
        site, digest = await asyncio.to_thread(_read, self._path, draft=draft)
        if expected and digest != expected:
            raise Refused(Text("文件在此期间被改动，请重试", "the file was changed meanwhile; try again"))
        to = await asyncio.to_thread(mind, site, self._clock.monotonic(), self._guard.call)
        change = await asyncio.to_thread(self._compare, to)
        if change.refused:
            raise Refused(
                Text("；".join(one.zh for one in change.refused), "; ".join(one.en for one in change.refused))
            )
        plan = {"digest": digest, "running": self._digest, "change": change.to_json(), "gone": self._standing(change)}
        if dry:
            return {"stage": "plan", **plan}
        if change.nothing:
            await self._shelf.same()
            self._parts.fallback, self._digest = False, digest
            return {"stage": "nothing", "who": who, **plan}
        held = await self._shelf.hold(digest, fallback=self._parts.fallback)
        if held is None:
            raise Refused(Text("文件在此期间被改动，请重试", "the file was changed meanwhile; try again"))
        before, was, old = self._before(), self._parts.mind, self._digest
        left = await self._switch(to, change, Left({}, {}), "applied", who, why, (old, digest))
        if left is None:
            await self._shelf.forget()
            raise Refused(BUG)
        self._parts.fallback, self._digest = False, digest
        self._trial = Trial(before, was, old, left, (*change.uplinks.changed,))
        self._say("trial", Text("", ""))
        self._crew.once("trial", self._try)
        return {"stage": "trial", "who": who, "for_s": self._terms.proved_s, "revertible": held, **plan}

    def _before(self) -> trial.Seen:
        """What the changed site has to be as good as. Buses that an undone change has just started again count as heard: they
        worked before it, and had no time to be heard since."""
        now = self._parts.seen({}, self._terms)
        buses = {
            name: trial.Heard(now.at, heard.patience_s)
            if heard.at is None and name in self._restored and now.at - self._restored_at <= heard.patience_s
            else heard
            for name, heard in now.buses.items()
        }
        return replace(now, buses=buses, faults=dict.fromkeys(self._guard.faults, now.at))

    def _compare(self, to: Mind) -> Change:
        now = self._parts.mind
        return compare(now.site, to.site, now.specs, to.specs)

    def _standing(self, change: Change) -> dict[str, str]:
        """Alarms that stand, or are hidden, and leave the site."""
        alarms = self._parts.engine.alarms()
        return {name: alarms[name].state.value for name in change.alarms.gone if alarms[name].since is not None}

    # -- the switch ------------------------------------------------------------------------------------------------

    async def _switch(
        self, to: Mind, change: Change, left: Left, stage: str, who: str, why: str, digests: tuple[str, str]
    ) -> Left | None:
        """From here on `to` runs; what leaves. None after a bug: then all is as it was."""
        parts, crew = self._parts, self._crew
        if to.site.post == parts.site.post and parts.post.watched <= change.same:
            to = replace(to, post=parts.post)
        buses, uplinks = change.buses, change.uplinks
        fresh = self._guard.call(
            "site", lambda: parts.make(to.site, {*buses.new, *buses.changed}, {*uplinks.new, *uplinks.changed})
        )
        if fresh is None:
            return None
        crew.dismiss("proof")
        stopped = [*buses.changed, *buses.gone]
        ports = [parts.buses[name] for name in stopped if name in parts.buses]
        before = parts.runs(stopped, ())
        await crew.stop([f"bus {name}" for name in stopped])
        gone = self._standing(change)
        body = payloads.site(stage, who, why, digests, _named(change.to_json()), gone)
        result = self._guard.call("site", lambda: parts.change(to, change, fresh, left, body))
        if result is None:
            self._start(before)
            crew.once("proof", self._outlast)
            return None
        for port in ports:
            port.close()
        ending = {name: crew.dismiss(f"uplink {name}") for name in (*uplinks.changed, *uplinks.gone)}
        for name, run in parts.runs({*buses.new, *buses.changed}, {*uplinks.new, *uplinks.changed}).items():
            crew.start(name, run, ending.get(name.removeprefix("uplink ")) if name.startswith("uplink ") else None)
        self._renewed(change)
        for name in gone:
            log.warning("alarm %s stood (%s) when it left the site", name, gone[name])
        log.warning("site %s by %s: %s", stage, who, change.to_json())
        return result

    def _start(self, runs: Mapping[str, Run]) -> None:
        for name, run in runs.items():
            self._crew.start(name, run)

    # -- the trial -------------------------------------------------------------------------------------------------

    async def _try(self) -> None:
        on = self._trial
        assert on is not None
        broken: dict[str, float] = {}
        try:
            verdict = trial.Verdict(trial.Stage.TRIAL)
            while verdict.stage is trial.Stage.TRIAL:
                await self._clock.sleep_until(self._clock.monotonic() + min(1.0, self._terms.fault_s / 2))
                now = self._clock.monotonic()
                broken = {name: broken.get(name, now) for name in self._guard.faults}
                verdict = trial.judge(on.before, on.uplinks, self._parts.seen(broken, self._terms), self._terms)
            await (self._keep(on) if verdict.stage is trial.Stage.PROVED else self._undo(on, verdict.why))
            self._parts.keep_uplinks()
            self._say(verdict.stage.value, verdict.why)
        finally:
            self._trial = None
            if self._last["stage"] == "trial":  # a bug, or the end of the gateway
                self._say(
                    "undone",
                    Text("内部错误；下次启动使用上次有效配置", "internal error; a start takes the last known good"),
                )

    async def _keep(self, on: Trial) -> None:
        await self._shelf.do(self._proved)
        await self._shelf.prove()
        body = payloads.site("proved", ITSELF, "", (on.digest, self._digest))
        self._parts.ledger.record(payloads.SITE, body)
        log.info("the changed site has proved itself 新站点配置已确认")

    async def _undo(self, on: Trial, why: Text) -> None:
        log.error("the changed site is undone: %s 站点更改已撤销：%s", why.en, why.zh)
        to = await asyncio.to_thread(mind, on.mind.site, self._clock.monotonic(), self._guard.call)
        digests = (self._digest, on.digest)
        change = await asyncio.to_thread(self._compare, to)
        undone = await self._switch(to, change, on.left, "undone", ITSELF, f"{why.zh} / {why.en}", digests)
        if undone is None:
            raise RuntimeError("a change could not be undone; the next start takes the last known good")
        self._parts.fallback, self._digest = True, on.digest
        self._restored, self._restored_at = trial.worked(on.before), self._clock.monotonic()
        await self._shelf.undo()
        self._crew.once("proof", self._outlast)

    def _say(self, stage: str, why: Text) -> None:
        self._last = {"stage": stage, **why._asdict()}


def _read(path: Path, *, draft: bool) -> tuple[Site, str]:
    """The site and its digest. Raises ConfigError with every mistake, those that a start would let pass among them, and `Refused`
    where it could not be read for another reason."""
    source = path.with_name(f".{path.name}.draft") if draft else path
    digest = last_good.digest(source)
    try:
        site = apart.judged(source, path.parent)
    except apart.Unread as error:
        raise Refused(Text(f"{error.text.zh}。未作更改", f"{error.text.en}; nothing was changed")) from None
    return replace(site, source=path), digest


def _named(change: Mapping[str, Any]) -> dict[str, Any]:
    """With the first of long lists only: a record is no site file."""
    return {
        section: {how: ids[:NAMED] for how, ids in edits.items()} if isinstance(edits, dict) else edits
        for section, edits in change.items()
    }
