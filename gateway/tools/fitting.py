"""Which device template fits a device that answers: each template's own reads are tried, and what comes back is weighed.

A fit is the share of points that came with a good value. It is a hint and no proof: a register that holds 0 is a good value
for nearly everything, so templates that fit alike are all named, and a person compares with the device's label. Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from drivers import DRIVERS
from drivers.contract import Exchange, Poll, Reply
from gateway.config import TEMPLATES
from gateway.errors import BusError
from gateway.model import BusKind, Device, Level, Quality, Scan
from gateway.site.template import Template, Templates

Perform = Callable[[Generator[Exchange, Reply, Scan]], Scan]
LEAST = 0.5


class Fit(NamedTuple):
    template: str
    good: int
    of: int

    @property
    def share(self) -> float:
        return self.good / self.of


def templates(own: Path | None = None) -> dict[str, Template]:
    """All that can be used, those in `own` first."""
    known = Templates([*([own] if own else []), TEMPLATES], DRIVERS)
    found = {name: known.get(name) for name in known.names}
    return {name: template for name, template in found.items() if template is not None}


def device(template: Template, address: int, name: str = "device") -> Device:
    groups = template.device_groups(name, {}, {})
    return Device(name, "line", template.driver, address, groups, options=template.options)


def fits(
    known: dict[str, Template], driver: str, address: int, kind: BusKind, perform: Perform, tell: Callable[[str], None]
) -> list[Fit]:
    """The templates of a driver that fit this address, the best first; those that fit less than `LEAST` are left out."""
    found = []
    for name, template in known.items():
        opened = DRIVERS[template.driver].open
        if template.driver != driver or opened is None or kind not in DRIVERS[driver].buses:
            continue
        tell(name)
        made = device(template, address)
        try:
            poll = opened(made, kind)
        except ValueError:  # an address that this driver does not have
            continue
        found.append(Fit(name, *_weigh(made, _scans(perform, poll, len(made.groups)))))
    return sorted((fit for fit in found if fit.share >= LEAST), key=lambda fit: (-fit.share, -fit.of, fit.template))


def _scans(perform: Perform, poll: Poll, groups: int) -> list[Scan]:
    """What the groups gave; a template whose first group gives nothing good is not tried further."""
    scans: list[Scan] = []
    for index in range(groups):
        try:
            scan: Scan | None = perform(poll(index))
        except BusError as error:
            scan = error.scan
        if scan is not None:
            scans.append(scan)
        if not any(_is_good(quality) for one in scans for quality in one.qualities):
            break
    return scans


def _is_good(quality: int) -> bool:
    return Quality(quality).level is Level.GOOD


def _weigh(made: Device, scans: Sequence[Scan]) -> tuple[int, int]:
    good = sum(_is_good(quality) for scan in scans for quality in scan.qualities)
    return good, sum(len(group.points) for group in made.groups)
