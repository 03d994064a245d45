"""The ``gengfu`` command. `run` goes straight to the daemon; everything for people imports typer and rich lazily."""

from __future__ import annotations

import sys
from pathlib import Path

USAGE = 2


def main() -> None:
    """Entry point. The daemon must not pay for the command line (120 ms, 6 MiB), so `run` is told apart first."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and "--help" not in arguments and "-h" not in arguments:
        if len(arguments) != 2:
            sys.stderr.write("usage: gengfu run SITE.yaml\n用法：gengfu run 站点文件.yaml\n")
            sys.exit(USAGE)
        from gateway.apart import Reading

        begun = Reading(Path(arguments[1]))  # beside the imports of the daemon
        try:
            from gateway.app import run

            sys.exit(run(Path(arguments[1]), begun))
        finally:
            begun.drop()  # a daemon that cannot even begin leaves nothing that its next start waits for
    from gateway.commands import app

    app(prog_name="gengfu")


if __name__ == "__main__":
    main()
