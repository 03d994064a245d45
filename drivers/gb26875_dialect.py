"""GB/T 26875.3-2011 as it is spoken: what a vendor does otherwise than the standard, as data.

The core is one and strict (`drivers.gb26875`); a `Dialect` only says how times and addresses are written, how long the
data may be, which further commands and one-byte handshakes there are, and what the state bits mean. A dialect never
turns a check off, and no dialect gives bit 0 the power to suppress an alarm.

Sources: standards.md 1.10. A new dialect is one more row here, with its vectors in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from drivers.gb26875_tables import (
    COMMANDS,
    COMPONENT_BITS,
    COMPONENTS,
    DEVICE_BITS,
    DEVICE_OPERATIONS,
    SYSTEM_BITS,
    SYSTEM_OPERATIONS,
    TEST_BIT,
    Bit,
)
from gateway.model import Text

LONGEST_DATA_BYTES = 1024
"""Longest application data unit (clause 7.1.6 d)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to speak the protocol."""

    name: str
    text: Text
    source: str
    certainty: Literal["A", "B", "C"]
    times: Literal["binary", "bcd"] = "binary"
    addresses: Literal["little", "display", "ipv4"] = "little"
    """`little`: a number, low byte first. `display`: the bytes as they are printed. `ipv4`: four bytes and a port, high
    byte first."""
    longest_data_bytes: int = LONGEST_DATA_BYTES
    main_versions: frozenset[int] = frozenset({1})
    commands: Mapping[int, Text] = field(default_factory=lambda: COMMANDS)
    handshakes: Mapping[int, Text] = field(default_factory=dict)
    """Application data of one byte, no unit: what the byte means."""
    heartbeat: Literal["none", "empty_send"] = "none"
    """`empty_send`: command 2 without data, answered by an empty confirmation."""
    component_addresses: Literal["free", "loop_node"] = "free"
    """`loop_node`: loop u16 and node u16, low byte first, in the four bytes."""
    system_bits: Mapping[int, Bit] = field(default_factory=lambda: SYSTEM_BITS)
    component_bits: Mapping[int, Bit] = field(default_factory=lambda: COMPONENT_BITS)
    device_bits: Mapping[int, Bit] = field(default_factory=lambda: DEVICE_BITS)
    components: Mapping[int, Text] = field(default_factory=lambda: COMPONENTS)

    def bits(self, type_: int) -> Mapping[int, Bit]:
        """What the bits of the state, or of the operation flags, mean in a unit of this type."""
        return {
            1: self.system_bits,
            2: self.component_bits,
            4: SYSTEM_OPERATIONS,
            21: self.device_bits,
            24: DEVICE_OPERATIONS,
        }.get(type_, {})

    def time(self, tag: bytes) -> datetime | None:
        """The local time in a tag of six bytes: second first, two-digit year last; None when it is no time."""
        try:
            parts = [int(f"{byte:02x}") if self.times == "bcd" else byte for byte in tag]
            second, minute, hour, day, month, year = parts
            return datetime(2000 + year, month, day, hour, minute, second) if year < 100 else None
        except ValueError:
            return None

    def time_tag(self, local: datetime) -> bytes:
        """The six bytes of a local time. Raises ValueError outside 2000 to 2099."""
        if not 2000 <= local.year <= 2099:
            raise ValueError(f"year {local.year} has no time tag")
        parts = (local.second, local.minute, local.hour, local.day, local.month, local.year - 2000)
        return bytes(int(f"{part}", 16) if self.times == "bcd" else part for part in parts)

    def address(self, raw: bytes) -> int | str:
        """The address in six bytes as a person writes it: a number, hex digits, or IPv4 and port."""
        if self.addresses == "little":
            return int.from_bytes(raw, "little")
        if self.addresses == "display":
            return raw.hex()
        return f"{'.'.join(map(str, raw[:4]))}:{int.from_bytes(raw[4:], 'big')}"

    def address_bytes(self, address: int | str) -> bytes:
        """The opposite of `address`. Raises ValueError for what is none in this dialect."""
        try:
            if self.addresses == "little":
                return int(address).to_bytes(6, "little")
            if self.addresses == "ipv4":
                host, port = str(address).split(":")
                raw = bytes(map(int, host.split("."))) + int(port).to_bytes(2, "big")
            else:
                raw = bytes.fromhex(str(address))
        except OverflowError as error:
            raise ValueError(f"{address}: too large") from error
        if len(raw) != 6:
            raise ValueError(f"{address}: not six bytes")
        return raw


STANDARD = Dialect(
    name="standard",
    text=Text("国标", "the standard as it is written"),
    source="GB/T 26875.3-2011",
    certainty="A",
)
_ROWS = (
    STANDARD,
    Dialect(
        name="heartbeat",
        text=Text("国标加空数据心跳", "the standard, and a heart-beat of command 2 without data, every 20 to 30 s"),
        source="ActorLancer/GB-T-26875.3.2011-rs, GB26875文档.md",
        certainty="B",
        heartbeat="empty_send",
        component_addresses="loop_node",
    ),
    Dialect(
        name="dahua-1.03",
        text=Text("大华 1.03", "Dahua profile 1.03"),
        source="Jokerboozp/TorchLink, protocol-packages/gb26875-dahua",
        certainty="B",
        times="bcd",
        addresses="display",
        longest_data_bytes=512,
        commands=COMMANDS | {0: Text("注册", "registration"), 7: Text("保活", "keep-alive")},
        component_addresses="loop_node",
        system_bits=SYSTEM_BITS | {0: TEST_BIT},
        component_bits=COMPONENT_BITS
        | {
            0: TEST_BIT,
            9: Bit("offline", Text("离线", "offline")),
            10: Bit("open_circuit", Text("开路", "open circuit")),
            11: Bit("short_circuit", Text("短路", "short circuit")),
            12: Bit("removed", Text("被拆除", "removed")),
            14: Bit("sensor_fault", Text("传感器故障", "sensor fault")),
            15: Bit("upgrade_fault", Text("升级故障", "upgrade fault")),
        },
        device_bits=DEVICE_BITS | {0: TEST_BIT},
        components=COMPONENTS | {137: Text("声光警报器", "sounder and strobe")},
    ),
    Dialect(
        name="dgiot",
        text=Text("dgiot 所见设备", "devices seen by dgiot"),
        source="dgiot/dgiot, dgiot_gb26875_decoder.erl",
        certainty="B",
        addresses="ipv4",
        main_versions=frozenset({1, 16}),
        handshakes={0x16: Text("握手", "handshake"), 0x17: Text("握手应答", "handshake answered")},
        heartbeat="empty_send",
    ),
)
DIALECTS: dict[str, Dialect] = {row.name: row for row in _ROWS} | {"gb2011": STANDARD}
"""By name; `gb2011` is another name of the standard's."""
