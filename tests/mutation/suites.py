"""What is tried on which tests: the rooms whose programs are changed, and the mutants that nobody could notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutants import Mutant, mutants


class Suite(NamedTuple):
    modules: tuple[str, ...]
    """Patterns of files below the root."""
    tests: tuple[str, ...]


SUITES = {
    "rules": Suite(("rules/*.py",), ("tests/rules/test_*.py",)),
    "codec": Suite(
        ("drivers/gb26875*.py", "drivers/modbus_pdu.py"),
        ("tests/drivers/test_*.py",),
    ),
    "store": Suite(
        ("gateway/retention.py", *(f"gateway/store/{name}.py" for name in ("ranges", "settlement", "seal", "book"))),
        tuple(f"tests/gateway/test_{name}*.py" for name in ("retention", "ranges", "settlement", "seal", "journal")),
    ),
}
SKIPPED = frozenset({"__init__", "texts"})
"""`texts`: words, which other tests compare."""

HARMLESS: dict[tuple[str, str, str], str] = {}
"""Mutants that do the same as the program: (module, where, what) -> why. Not tried, and counted for themselves."""


def all_mutants(suite: Suite, tree: Path) -> list[Mutant]:
    files = sorted({file for pattern in suite.modules for file in tree.glob(pattern) if file.stem not in SKIPPED})
    return [
        mutant
        for file in files
        for mutant in mutants(".".join(file.relative_to(tree).with_suffix("").parts), file.read_text(encoding="utf-8"))
    ]


def test_files(suite: Suite, tree: Path) -> list[Path]:
    return sorted({file for pattern in suite.tests for file in tree.glob(pattern)})


def why_harmless(mutant: Mutant) -> str:
    return HARMLESS.get((mutant.module, mutant.where, mutant.what), "")
