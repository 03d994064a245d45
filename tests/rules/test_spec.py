"""What a rule says about itself."""

from rules.spec import Above, All, Any, KOfN, Not, Stale, points


def test_the_points_of_a_condition_are_those_of_all_its_parts():
    """Through every combination, each once."""
    when = All((Any((Above("a/x", 1), Not(Stale("b/*", 5)))), KOfN(1, (Above("a/x", 2), Above("c/x", 1)), 60)))
    assert points(when) == {"a/x", "b/*", "c/x"}
