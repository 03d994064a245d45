"""``gengfu silence`` as a person meets it, on a gateway that runs in this process."""

import asyncio

import pytest

from gateway.annunciator import NOTHING_SOUNDS
from gateway.clock import SystemClock
from gateway.control import Control
from gateway.model import Action
from gateway.restart import Guard
from tests.gateway.test_commands import gengfu
from tests.waiting import until


@pytest.fixture
async def heard(tmp_path):
    """The commands that came; what is about the trumpet is refused."""
    commands = []

    def take(command):
        commands.append(command)
        return NOTHING_SOUNDS if command.alarm == "trumpet" else None

    control = Control(tmp_path / "s", {}, take, SystemClock(), Guard())
    serving = asyncio.ensure_future(control.run())
    await until((tmp_path / "s").exists)
    yield commands
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_person_silences_all_or_one_or_some_classes(heard, tmp_path):
    """By name, or not at all; a refusal is told with exit status 1."""

    async def silence(*arguments):
        return await asyncio.to_thread(gengfu, "silence", *arguments, "--socket", tmp_path / "s")

    assert (await silence()).returncode == 1
    told = await silence("--who", "王师傅")
    assert told.returncode == 0, told.stderr
    assert "王师傅" in told.stdout
    assert (await silence("horn", "--who", "王师傅", "--class", "fire", "--class", "fault")).returncode == 0
    told = await silence("trumpet", "--who", "王师傅")
    assert (told.returncode, "nothing sounds" in told.stderr) == (1, True)
    assert [(one.action, one.alarm, one.value) for one in heard] == [
        (Action.SILENCE, "", ""), (Action.SILENCE, "horn", "fire fault"), (Action.SILENCE, "trumpet", "")
    ]  # fmt: skip
