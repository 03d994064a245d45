"""One staged installation for all tests here: `make install` into a folder, with what is needed to make others of it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT_FROM = (
    *("gateway", "drivers", "rules", "firmware_sim", "district", "systemd"),
    *("pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.lock", "requirements-runtime.lock"),
)


def make(goal, destination, source=ROOT, check=True):
    """`make GOAL` of a source tree, staged into `destination`; its output together."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")
    there = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        ["make", "--no-print-directory", goal, f"DESTDIR={destination}"],
        cwd=source, env=there, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 or not check, done.stdout
    return done


def gengfu(destination, *arguments):
    """The installed command, from a folder that is not the source tree."""
    return subprocess.run(
        [destination / "opt/gengfu/current/bin/gengfu", *arguments],
        cwd="/", env={"PATH": "/usr/bin:/bin"}, text=True, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """An installation that tests only read."""
    destination = tmp_path_factory.mktemp("installed")
    make("install", destination)
    return destination


@pytest.fixture
def installed(first, tmp_path):
    """An installation of the test's own."""
    shutil.copytree(first, tmp_path / "box", symlinks=True)
    return tmp_path / "box"


@pytest.fixture
def source(tmp_path):
    """A source tree of the test's own: the next version."""
    tree = tmp_path / "source"
    tree.mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, tree / name)
    (tree / ".uv").symlink_to(ROOT / ".uv")
    about = tree / "gateway" / "__init__.py"
    about.write_text(about.read_text().replace('__version__ = "', '__version__ = "9.'))
    return tree
