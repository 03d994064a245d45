"""What a site file and its templates say of quantities; the mistakes are in ``sites/bad/plausible``."""

from gateway.model import Counter, Plausibility
from tests.gateway.test_config import SITES, load


def quantities(device_id):
    site = load(SITES / "good" / "quantities.yaml")
    (device,) = (device for device in site.devices if device.id == device_id)
    return {point.name: point.plausible for group in device.groups for point in group.points}


def test_what_the_site_says_stands_beside_what_the_template_says():
    """`level` keeps the template's stuck_s, `rain` its counter."""
    found = quantities("m")
    assert found["level"] == Plausibility(2, 600)
    assert found["rain"] == Plausibility(3, None, Counter(None))
    assert found["full"] is None


def test_a_counters_count_is_as_large_as_its_scale():
    found = quantities("m")
    assert found["pulses"] == Plausibility(5, None, Counter(16, 1))
    assert found["energy"] == Plausibility(0.1, None, Counter(32, 0.1))


def test_a_site_may_say_it_alone():
    found = quantities("b")
    assert found.pop("battery") == Plausibility(0.1, 86400)
    assert set(found.values()) == {None}
