"""A simulated day of a compound with every accident of a year in it: `bench.year`."""

from bench.compound import Compound
from bench.year import lived


def test_a_day_full_of_accidents_misses_none_and_invents_no_entrapment():
    """Fires, forced doors, trapped people, a dry hydrant and a slide, among cooking, trips, inspections and dropouts."""
    out = lived(1, 7)
    assert out.missed == []
    assert out.noticed == 9
    assert out.false["entrapment"] == 0
    assert out.readings > 5_000


def test_the_same_seed_is_the_same_life():
    """Figures can be reproduced; another seed is another life."""
    one, same, other = ([*Compound(seed, 3).day(1)] for seed in (5, 5, 6))
    assert one == same
    assert one != other
