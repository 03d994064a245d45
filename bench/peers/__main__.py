"""``python -m bench peers [--only PIECE …] [--products NAME …] [--seconds N] [--venvs DIR] [--json FILE]``.

One piece after the other, and in each all products in turn, so that what drifts in the machine falls on all of them. Prints a
table; says what could not be measured and why. The first run installs the peers, which takes minutes and is not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.peers import table
from bench.peers.pieces import PIECES, Figures, Run
from bench.peers.plan import Product
from bench.peers.products import PRODUCTS
from bench.peers.stage import Stage
from bench.world import ROOT


async def measure(name: str, product: Product, installed: Path, seconds: float | None, keep: Path | None) -> Figures:
    if why := product.cannot.get(name):
        return table.none(name, why)
    piece, usual_s = PIECES[name]
    with tempfile.TemporaryDirectory(prefix="gengfu-peers-") as folder:
        stage = Stage(keep / f"{name}-{product.name}" if keep else Path(folder))
        stage.folder.mkdir(parents=True, exist_ok=keep is None)
        try:
            await stage.open()
            return await piece(Run(product, installed, stage, seconds or usual_s))
        except (RuntimeError, TimeoutError, ValueError, OSError, psutil.Error) as error:
            # One product's failure is a result too.
            sys.stderr.write(f"{error}\n")
            return table.none(name, "failed")
        finally:
            await stage.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=PIECES, default=list(PIECES), metavar="PIECE", help=", ".join(PIECES)
    )
    parser.add_argument(
        "--products", nargs="+", choices=PRODUCTS, default=list(PRODUCTS), metavar="NAME", help=", ".join(PRODUCTS)
    )
    parser.add_argument("--seconds", type=float, help="of each measurement, instead of its own")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".peers", help="where the peers are installed")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--keep", type=Path, help="keep the folders of the measurements here: logs, configurations")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    products = [PRODUCTS[name] for name in given.products]
    versions = {product.name: product.install(given.venvs.resolve()) for product in products}
    results: dict[str, Figures] = {product.name: {} for product in products}
    for name in given.only:
        for product in products:
            sys.stderr.write(f"peers: {name}, {product.name}\n")
            figures = asyncio.run(measure(name, product, given.venvs.resolve(), given.seconds, given.keep))
            sys.stderr.write(f"  {json.dumps(figures)}\n")
            results[product.name].update(figures)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[1]:.1f} over the last 5 minutes",
    }
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    for product in products:
        print(f"- {product.name} {versions[product.name]}: {product.link}")
    print("\nIn brackets: Gengfu's figure divided by theirs.\n\n" + table.table(results))
    if given.json:
        given.json.write_text(json.dumps({**about, "versions": versions, "results": results}, indent=1))


if __name__ == "__main__":
    main()
