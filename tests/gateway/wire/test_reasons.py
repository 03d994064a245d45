"""Every quality has its words."""

from gateway.model import Quality
from gateway.wire.reasons import REASONS


def test_every_quality_is_said_in_both_languages():
    assert set(REASONS) == set(Quality)
    assert all(text.zh and text.en for text in REASONS.values())
