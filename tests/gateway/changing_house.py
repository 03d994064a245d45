"""A house with two simulated lines on which detectors burn, its whole daemon in this process, and a person who changes its site."""

import asyncio
import json
import secrets

from typer.testing import CliRunner

from gateway import last_good
from gateway.app import watch
from gateway.clock import SystemClock
from gateway.commands import app as commands
from gateway.control import ask
from gateway.model import Lane
from gateway.parts import system
from gateway.store.journal import Journal
from gateway.store.worker import InlineWorker
from gateway.trial import Terms
from tests.gateway.tools.world import Simulated
from tests.waiting import until

PATIENCE_S = 60.0
"""A busy machine takes half a minute to read a site file."""
TERMS = Terms(proved_s=2.0, silent_s=0.9, fault_s=0.4)
SCENE = """
lines:
  - id: LINE
    baud: 115200
    devices:
      - {id: one, template: generic_smoke_loop, address: 1, values: {density: 9.0, temperature: 21.5}}
"""
SITE = """
gateway: {{id: test-01, control_socket: run/control.sock}}
journal: {{directory: journal}}
buses:
  - {{id: east, kind: serial, port: {east}, baud: 115200, reply_timeout_s: 0.1}}
  - {{id: west, kind: serial, port: {west}, baud: 115200, reply_timeout_s: 0.1}}
devices:
  - {{id: e1, bus: east, template: generic_smoke_loop, address: 1, periods_s: {{safety: 0.25}}}}
  - {{id: w1, bus: west, template: generic_smoke_loop, address: 1, periods_s: {{safety: 0.25}}}}
alarms:
  - id: fire-east
    class: fire
    severity: critical
    latching: true
    text: {{zh: 东侧火警, en: Fire east}}
    when: {{above: {{point: e1/density, limit: 5, hysteresis: 1}}}}
  - id: fire-west
    class: fire
    severity: critical
    latching: true
    text: {{zh: 西侧火警, en: Fire west}}
    when: {{above: {{point: w1/density, limit: 5}}}}
"""


class House:
    """Two lines, on each a detector that burns; the gateway runs on the site file."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("east", "west"):
            (folder / name).mkdir()
        self.east, self.west = (Simulated(folder / name, SCENE.replace("LINE", name)) for name in ("east", "west"))
        self.path = folder / "site.yaml"
        self.text = SITE.format(east=self.east.path, west=self.west.path)
        self.path.write_text(self.text)
        self.socket = folder / "run" / "control.sock"
        self.task = None
        self.proved = []
        """When it was told that it had run for long enough."""

    async def __aenter__(self):
        self.socket.unlink(missing_ok=True)
        site, fallback = last_good.load(self.path)
        seams = system()

        def proved():
            self.proved.append(seams.clock.monotonic())

        run = watch(site, seams, last_known_good=fallback, path=self.path, terms=TERMS, proved=proved)
        self.task = asyncio.create_task(run)
        await until(lambda: self.socket.exists() or self.task.done(), PATIENCE_S)
        assert not self.task.done(), self.task.exception()
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.wait((self.task,))

    async def ask(self, do, **more):
        return await asyncio.to_thread(ask, self.socket, {"do": do, **more}, PATIENCE_S)

    async def alarms(self):
        return {row["id"]: row["state"] for row in (await self.ask("alarms"))["alarms"]}

    async def burning(self):
        """Both alarms stand, the eastern one acknowledged."""
        await self.told("alarms", lambda answer: {"fire-east", "fire-west"} <= {row["id"] for row in answer["alarms"]})
        assert (await self.ask("acknowledge", alarm="fire-east", who="Li"))["ok"]

    async def told(self, do, condition, within_s=PATIENCE_S):
        """The first answer that is as wanted."""
        async with asyncio.timeout(within_s):
            while not condition(answer := await self.ask(do)):  # noqa: ASYNC110 - `until` knows no answers that take time
                await asyncio.sleep(0.05)
        return answer

    async def apply(self, **more):
        return await self.ask("apply", who="Wang", **more)

    async def over(self):
        """How the trial ended."""
        return await self.told("site", lambda answer: answer["stage"] in ("proved", "undone"))

    async def command(self, *words):
        """`gengfu apply ...`, as a person types it, who is not there in its very first moment."""
        await until(lambda: last_good.is_kept(self.path), PATIENCE_S)
        given = ["apply", *map(str, words), "--socket", str(self.socket)]
        return await asyncio.to_thread(CliRunner().invoke, commands, given)

    def close(self):
        self.east.close()
        self.west.close()


async def events(folder):
    """The bodies of all records of site changes, once the gateway has ended."""
    path = folder / "journal" / "alarm.db"
    lane = Journal(Lane.ALARM, path, "test-01", SystemClock(), InlineWorker(), 1 << 26, secrets.token_hex)
    await lane.open()
    records = await lane.after(0, 10_000, 1 << 26)
    await lane.close()
    return [json.loads(record.body) for record in records if record.kind == "gengfu.event.site"]


def changed(text, *pairs):
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


ANOTHER = "  - {id: w2, bus: west, template: generic_smoke_loop, address: 7, periods_s: {safety: 0.25}}\nalarms:\n"
