"""Drivers: pure code that turns bytes into samples. `contract` says what a driver is; this table names them.

Templates name a driver by its key here. A new protocol is one module and one line.
"""

from __future__ import annotations

from drivers.bwm826 import BWM826
from drivers.contract import Driver
from drivers.gb26875_centre import GB26875
from drivers.meokon import MEOKON
from drivers.modbus import MODBUS
from drivers.notifier import NOTIFIER

DRIVERS: dict[str, Driver] = {
    "modbus": MODBUS,
    "bwm826": BWM826,
    "meokon": MEOKON,
    "gb26875": GB26875,
    "notifier": NOTIFIER,
}
