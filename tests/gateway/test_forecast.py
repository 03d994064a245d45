"""What a site costs its disk: by hand for a small one, and the laws that hold for any."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config, forecast
from gateway.model import Lane
from gateway.wire import payloads
from tests.gateway.journal_tools import commit, opened

ROOT = Path(__file__).parents[2]
SITE = """
gateway: {id: g}
journal: {directory: j, telemetry_quota_mib: 1}
buses: [{id: line, kind: serial, port: /dev/ttyUSB0}]
devices: [{id: a, bus: line, template: station, address: 1}]
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    return config.load(tmp_path / "site.yaml", Path(__file__).parent / "sites" / "templates")


def test_the_busiest_day_by_hand(site):
    """Each whole scan of each group in each period, a record a commit; each record in whole parts of pages."""
    seen = forecast.forecast(site)
    (device,) = site.devices
    commits = min(86400, sum(86400 / group.period_s for group in device.groups))
    bodies = sum(86400 / group.period_s * forecast._bytes(device, at, group) for at, group in enumerate(device.groups))
    stored = commits * forecast._stored_bytes(bodies / commits)
    assert bodies < stored == pytest.approx(seen.stored_bytes_a_day[1], abs=1)
    assert seen.outage_hours[1] == pytest.approx(1024 * 1024 / stored * 24)
    assert seen.written_bytes_a_day[1] == pytest.approx(stored * 2.5 + commits * 12 * 1024, abs=1)


@pytest.mark.parametrize("body_bytes", [100, 970, 2_100, 3_900, 5_000, 16_384])
async def test_a_record_takes_in_the_file_what_is_forecast(tmp_path, body_bytes):
    """Else an outage of the promised length would not fit: at 2,100 bytes only one goes into a page."""
    async with opened(tmp_path / "j.db", Lane.TELEMETRY) as journal:
        for _ in range(20):
            await commit(journal, *[b"x" * body_bytes] * 20, kind=payloads.PACK)
        used = journal.counters().used_bytes
    assert used / 400 == pytest.approx(forecast._stored_bytes(body_bytes), rel=0.1)


def test_a_quiet_day_costs_no_more_than_the_busiest(site):
    seen = forecast.forecast(site)
    assert seen.stored_bytes_a_day[0] <= seen.stored_bytes_a_day[1]
    assert seen.outage_hours[0] >= seen.outage_hours[1]
    assert seen.card_years[0] >= seen.card_years[1]


def test_where_every_value_is_sent_there_is_no_quiet_day(site):
    always = replace(site, report=replace(site.report, by_exception=False))
    assert forecast.forecast(always).stored_bytes_a_day[1] == pytest.approx(
        forecast.forecast(site).stored_bytes_a_day[1]
    )


def test_an_outage_that_does_not_fit_three_days_is_told(site):
    seen = forecast.forecast(site)
    told = forecast.warnings(site, replace(seen, outage_hours=(100.0, 71.0)))
    assert "telemetry_quota_mib" in told[0].zh
    assert forecast.warnings(site, replace(seen, outage_hours=(100.0, 73.0))) == []


def test_a_card_that_wears_out_is_told(site):
    seen = replace(forecast.forecast(site), outage_hours=(100.0, 100.0), card_years=(4.0, 1.0))
    assert "telemetry_commit_s" in forecast.warnings(site, seen)[0].en


def test_a_site_without_devices_costs_nothing(site):
    seen = forecast.forecast(replace(site, devices=()))
    assert seen.stored_bytes_a_day == (0, 0)
    assert [row[1] for row in seen.rows()] == ["0 B", "∞", "0 B", "> 50 y"]


@pytest.mark.parametrize("name", ["demo", "compound"])
def test_the_example_sites_have_room_for_three_days(name):
    site = config.load(ROOT / "examples" / name / "site.yaml")
    assert forecast.warnings(site, forecast.forecast(site)) == []


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 * 1024**2, "20 MiB"), (5000 * 1024**3, "5000 GiB")]
)  # fmt: skip
def test_sizes_in_words(count, words):
    assert forecast._size(count) == words
