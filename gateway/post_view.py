"""What the people on watch have set, as plain values for whoever asks on the control socket: guard level and partitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gateway.clock import Clock
from rules.partition import WORDS, Partition, Stage
from rules.post import Post


def table(post: Post, clock: Clock) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
    """For `gateway.control.Control`."""
    return {"partitions": lambda _: standing(post, clock)}


def standing(post: Post, clock: Clock) -> dict[str, Any]:
    """The level, and each partition with what is known of its zones."""
    return {
        "level": post.level,
        "level_text": post.level_text(),
        "levels": [{"level": number, "text": text} for number, text in post.levels],
        "partitions": [_partition(one, clock) for one in post.partitions.values()],
    }


def _partition(one: Partition, clock: Clock) -> dict[str, Any]:
    now, wall = clock.monotonic(), clock.wall()
    armed = one.stage is not Stage.DISARMED
    return {
        "id": one.spec.id,
        "text": one.spec.text._asdict(),
        "place": one.spec.place.text()._asdict(),
        "state": one.stage.name.lower(),
        "mode": one.mode.name.lower(),
        "since": round(wall - (now - one.since), 3) if armed else None,
        "ends_in_s": None if one.due == math.inf else round(max(0.0, one.due - now), 1),
        "intrusion": one.intrusion,
        "bypass": sorted(one.bypass),
        "zones": [
            {
                "point": zone.point,
                "text": zone.text._asdict(),
                "state": (contact := one.contact(zone.point, now)).name.lower(),
                "state_text": WORDS[contact]._asdict(),
                "entry": zone.entry,
                "interior": zone.interior,
            }
            for zone in one.spec.zones
        ],
    }
