"""python -m district: the reference receiver of a district, or a report of what it has received.

    python -m district --broker HOST:PORT --ca CA --cert CERT --key KEY --database FILE [--receipt-interval-s 2]
    python -m district --report FILE

SIGTERM and SIGINT end it in order: the commit under way is finished, what has no receipt is sent again by its gateway.
Exit status: 0 ended in order; 1 the database cannot be used; 2 wrong arguments; 78 certificates cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from district import receiver, report
from district.store import Store, StoreError

EX_CONFIG = 78


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.broker and None in (options.ca, options.cert, options.key, options.database):
        parser.error("--broker needs --ca, --cert, --key and --database")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        if options.report:
            report.show(options.report)
            return 0
        return _receive(options)
    except StoreError as error:
        sys.stderr.write(f"the database cannot be used / 数据库无法使用: {error}\n")
        return 1


def _receive(options: argparse.Namespace) -> int:
    host, port = options.broker
    chosen = receiver.Options(
        host, port, str(options.ca), str(options.cert), str(options.key), options.receipt_interval_s, options.client_id
    )
    try:
        receiver.tls_context(chosen)
    except OSError as error:
        files = f"{chosen.ca}, {chosen.certificate}, {chosen.key}"
        sys.stderr.write(f"the certificates cannot be used / 证书无法使用: {files}: {error}\n")
        return EX_CONFIG
    store = Store(options.database)
    try:
        asyncio.run(_until_signalled(chosen, store))
    finally:
        store.close()
    return 0


async def _until_signalled(options: receiver.Options, store: Store) -> None:
    task = asyncio.ensure_future(receiver.run(options, store))
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m district", description="Reference receiver. 区级参考接收端")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--broker", type=_address, metavar="HOST:PORT", help="receive from this broker 消息服务器")
    what.add_argument("--report", "--summary", type=Path, metavar="FILE", help="show what this database holds 报告")
    parser.add_argument("--ca", type=Path, help="authority of the broker's certificate 根证书")
    parser.add_argument("--cert", type=Path, help="own certificate 证书")
    parser.add_argument("--key", type=Path, help="its key 密钥")
    parser.add_argument("--database", type=Path, metavar="FILE", help="made if it does not exist 数据库文件")
    parser.add_argument("--receipt-interval-s", type=_seconds, default=2.0, help="telemetry receipts 遥测回执间隔")
    parser.add_argument("--client-id", default="gengfu-district", help="of the session at the broker 客户端编号")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError(text)
    return host.strip("[]"), int(port)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.05 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
