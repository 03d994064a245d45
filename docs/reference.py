"""Writes the generated pages of docs/ from the code, or (``--check``) says which ones are out of date."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from gateway import config, health, metrics
from gateway.site import library_page
from gateway.wire import payloads
from rules import lifecycle

HERE = Path(__file__).parent
PAGES: dict[str, Callable[[], str]] = {
    "alarm-states.md": lifecycle.diagram,
    "gateway-faults.md": health.reference,
    "metrics.md": metrics.reference,
    "payloads.md": payloads.reference,
    "rule-library.md": library_page.page,
    "site-file.md": config.reference,
    "site.schema.json": lambda: json.dumps(config.json_schema(), ensure_ascii=False, indent=1) + "\n",
}


def main() -> int:
    """Exit status 1 when a page differs from the code under ``--check``."""
    check = "--check" in sys.argv[1:]
    stale = [name for name, page in PAGES.items() if _now(HERE / name) != page()]
    for name in stale:
        if check:
            sys.stderr.write(f"docs/{name} is out of date: make reference\n")
        else:
            (HERE / name).write_text(PAGES[name](), encoding="utf-8")
            sys.stdout.write(f"wrote docs/{name}\n")
    return int(check and bool(stale))


def _now(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
