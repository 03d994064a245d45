"""``gengfu arm``, ``disarm``, ``level`` and ``partitions`` as a person meets them, on a gateway that runs in this process."""

import asyncio
import json

import pytest

from tests.gateway.test_commands import gengfu
from tests.gateway.test_partitions import House, StillClock
from tests.waiting import until


@pytest.fixture
async def house(tmp_path):
    house = await House(tmp_path, StillClock()).start()
    serving = asyncio.ensure_future(house.control.run())
    await until((tmp_path / "s").exists)
    await house.go_on(2)
    yield house
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await house.close()


async def ask(house, *arguments):
    return await asyncio.to_thread(gengfu, *arguments, "--socket", house.folder / "s")


async def test_a_person_arms_looks_and_disarms(house):
    house.full = 1
    await house.go_on()
    told = await ask(house, "arm", "office", "--who", "王师傅")
    assert told.returncode == 1
    assert "meter, full (m/full) is open" in told.stderr
    assert "物业办公室不能布防" in told.stderr
    told = await ask(house, "arm", "office", "--who", "王师傅", "--bypass", "m/full", "--stay")
    assert told.returncode == 0, told.stderr
    assert "王师傅" in told.stdout
    told = await ask(house, "partitions")
    assert "退出延时 exit delay (stay), 30 s left" in told.stdout
    assert "bypassed 旁路" in told.stdout
    assert (await ask(house, "disarm", "office", "--who", "王师傅")).returncode == 0
    told = json.loads((await ask(house, "partitions", "--json")).stdout)
    assert [one["state"] for one in told["partitions"]] == ["disarmed", "disarmed"]


async def test_a_level_needs_a_name_and_a_reason(house):
    told = await ask(house, "level", "1", "--who", "王师傅")
    assert (told.returncode, "needs a reason" in told.stderr) == (1, True)
    told = await ask(house, "level", "1", "--why", "解除")
    assert (told.returncode, "who" in told.stderr) == (1, True)
    assert (await ask(house, "level", "1", "--who", "王师傅", "--why", "解除")).returncode == 0
    assert house.parts.post.level == 1
