"""A gateway that is asked to stop: what it has read is committed, handed over and receipted before it goes."""

import pytest

from tests import brokers
from tests.e2e import books, world

pytestmark = brokers.skip_without_mosquitto

MOMENTS_S = (0.0, 0.13, 0.37, 0.71)
"""After the uplink is connected: anywhere between two polls, two commits and two receipts."""


@pytest.mark.parametrize("moment_s", MOMENTS_S)
async def test_nothing_is_left_behind_by_an_orderly_stop(tmp_path, moment_s):
    """Full telemetry, stopped in the middle of it: the district has every record of the journal without another start."""
    scene, site = world.devices(3, 0.5)
    site["report"] = {"by_exception": False}
    async with world.running(tmp_path, scene, site) as there:
        await there.start("gateway")
        await there.connected()
        await world.moment(2 + moment_s)
        assert await there.stop("gateway") == 0
        assert len(books.lane(there.folder, "telemetry")) > 1
        assert not books.missing(there.folder)
