"""The simulated line, ready and closed."""

import pytest

from tests.gateway.tools.world import Simulated


@pytest.fixture
def simulated(tmp_path):
    """`simulated(scene, twice=...)` puts a line on a pty."""
    made = []

    def build(**more):
        made.append(Simulated(tmp_path, **more))
        return made[-1]

    yield build
    for one in made:
        one.close()
