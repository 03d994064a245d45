"""The shape of a site file: keys, types, limits and what each key means, in two languages.

From this one declaration come the validation, the JSON Schema for editors and docs/site-file.md. Everything is checked
strictly (see `gateway.site.shape`). What needs more than one value to judge (references, ranges, periods) is in
`gateway.site.rules` and `gateway.site.devices`. pydantic is imported by the modules of ``gateway/site`` alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from gateway.model import Text
from gateway.site.plausible import QuantityShape
from gateway.site.shape import (
    Date,
    Delay,
    File,
    Host,
    Id,
    Number,
    Part,
    Period,
    PointId,
    Shape,
    Span,
    TextShape,
    Words,
    field,
    scalar,
)
from gateway.site.shapes_outputs import KeyShape, OutputShape
from gateway.site.shapes_virtual import VirtualShape
from gateway.site.shapes_when import WhenShape
from rules.post import LEVELS


class PlaceShape(Shape):
    title = Text("位置：用于设备和报警", "A place, of a device or an alarm")
    grid: Part = field("网格", "grid of the district", "")
    building: Part = field("楼号（加引号）", "building (in quotes)", "")
    unit: Part = field("单元", "unit (staircase)", "")
    floor: Part = field("楼层", "floor", "")
    flat: Part = field("户号", "flat", "")
    position: Part = field("具体位置", "where exactly, in words", "")
    zone: Part = field("防火分区", "fire compartment", "")


class GatewayShape(Shape):
    title = Text("网关", "The gateway")
    id: Id = field("网关编号，在平台内唯一", "identity towards the district; unique there")
    place: PlaceShape = field("网关所在位置", "where the gateway is", PlaceShape())
    control_socket: File = field("本机控制套接字的路径", "path of the local control socket", "run/control.sock")


class JournalShape(Shape):
    title = Text("日志（存储）", "The journal (storage)")
    directory: File = field("存放目录", "directory of its files", "journal")
    alarm_quota_mib: int = field("报警区上限 MiB", "limit of the alarm lane, MiB", 64, ge=1, le=65536)
    telemetry_quota_mib: int = field("数据区上限 MiB", "limit of the telemetry lane, MiB", 512, ge=1, le=1048576)
    telemetry_commit_s: float = field(
        "数据最多间隔多久写盘", "longest time between commits of telemetry", 1.0, ge=0.1, le=60
    )


class MetricsShape(Shape):
    title = Text("监控指标（Prometheus）；不写则不监听", "Prometheus metrics; not served without this section")
    host: Host = field("监听的本机地址", "own address to listen on", "127.0.0.1")
    tcp_port: int = field(
        "端口；0 由系统分配（试验用）", "port; 0 takes any free one (for trials)", 9464, ge=0, le=65535
    )


class ReportShape(Shape):
    title = Text("上报方式", "Reporting")
    by_exception: bool = field(
        "true：变化超过死区才上报；false：每次采样都上报",
        "true: report changes beyond the dead band; false: every value",
        True,
    )


Baud: TypeAlias = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]


class SerialBusShape(Shape):
    title = Text("总线：串口线路（RS-485）", "A bus of kind serial (an RS-485 line)")
    id: Id = field("线路编号", "identity of the line")
    kind: Literal["serial"] = field("类型", "kind")
    port: File = field("串口设备路径", "path of the port")
    baud: Baud = field("波特率", "speed", 9600)
    parity: Literal["N", "E", "O"] = field("校验：无、偶、奇", "parity: none, even, odd", "N")
    stop_bits: Literal[1, 2] = field("停止位", "stop bits", 1)
    echo: bool = field("转换器会回显本机发送的内容", "the adapter returns our own requests", False)
    rs485: bool = field(
        "由内核驱动控制收发方向（RTS）；端口不支持时不起作用",
        "the kernel's driver turns the transceiver round (RTS); without effect where the port cannot",
        False,
    )
    reply_timeout_s: float = field("等待应答的最长时间", "longest wait for a reply", 0.5, ge=0.02, le=10)


class TcpBusShape(Shape):
    title = Text("总线：TCP 连接（Modbus TCP 服务器）", "A bus of kind tcp (a connection to a Modbus TCP server)")
    id: Id = field("总线编号", "identity of the bus")
    kind: Literal["tcp"] = field("类型", "kind")
    host: Host = field("主机名或地址", "host name or address")
    tcp_port: int = field("TCP 端口", "TCP port", 502, ge=1, le=65535)
    reply_timeout_s: float = field("等待应答的最长时间", "longest wait for a reply", 0.5, ge=0.02, le=10)
    framing: Literal["tcp", "rtu"] = field(
        "报文格式：tcp 为 Modbus TCP；rtu 为串口服务器透传（Modbus RTU 或其他串口协议）",
        "frames: tcp is Modbus TCP; rtu is a serial server that passes a serial line's bytes through",
        "tcp",
    )
    baud: Baud = field("串口服务器的波特率（仅 rtu）", "speed of the serial server's line (only with rtu)", 9600)
    parity: Literal["N", "E", "O"] = field("其校验（仅 rtu）", "its parity (only with rtu)", "N")
    stop_bits: Literal[1, 2] = field("其停止位（仅 rtu）", "its stop bits (only with rtu)", 1)


class ListenBusShape(Shape):
    title = Text("总线：监听端口（终端主动连接）", "A bus of kind listen (a port on which terminals call)")
    id: Id = field("总线编号", "identity of the bus")
    kind: Literal["listen"] = field("类型", "kind")
    host: Host = field("监听的本机地址", "own address to listen on", "0.0.0.0")
    tcp_port: int = field(
        "监听端口；0 由系统分配（试验用）", "port to listen on; 0 takes any free one (for trials)", ge=0, le=65535
    )
    transport: Literal["tcp", "udp"] = field("TCP 连接或 UDP 数据报", "TCP connections or UDP datagrams", "tcp")
    longest_silence_s: Span = field(
        "终端最长静默时间；超过即判为无响应", "a terminal that said nothing for this long is not responding"
    )
    allow: list[Annotated[str, Field(max_length=64)]] = field(
        "允许接入的 IP 地址或网段；空为不限", "IP addresses or networks that may call; empty: all", [], max_length=1000
    )


BUS_SHAPES: dict[str, type[SerialBusShape | TcpBusShape | ListenBusShape]] = {
    "serial": SerialBusShape,
    "tcp": TcpBusShape,
    "listen": ListenBusShape,
}
BusShape: TypeAlias = SerialBusShape | TcpBusShape | ListenBusShape


class DeviceShape(Shape):
    title = Text("设备", "A device")
    id: Id = field("设备编号，全站唯一", "identity, unique in the site")
    bus: str = field("所在总线", "its bus")
    template: str = field(
        "模板名（drivers/templates 下的文件名，不带扩展名）", "name of its template in drivers/templates"
    )
    address: Annotated[int | str, BeforeValidator(scalar)] = field(
        "地址：Modbus 单元号、仪器地址或终端编号", "Modbus unit, instrument address or the terminal's own id"
    )
    simulated: bool = field("模拟设备：其报警会注明", "simulated: its alarms say so", False)
    place: PlaceShape = field("位置", "where it is", PlaceShape())
    text: TextShape | None = field("名称；默认取模板的型号名", "its name; default: the template's model", None)
    periods_s: dict[str, Period] = field("各组的采样周期，覆盖模板", "period by group, instead of the template's", {})
    options: dict[str, Any] = field("驱动选项，覆盖模板", "driver options, instead of the template's", {})
    rules: dict[str, Number] = field(
        "规则库参数，仅用于本设备", "parameters of the rule library, for this device alone", {}
    )
    without: dict[str, Words] = field(
        "不使用的规则：“规则族/规则: 原因”", "rules of the library that it goes without: 'family/rule: why'", {}
    )
    points: dict[str, QuantityShape] = field(
        "各测点的物理限制，覆盖模板", "by point, what its quantity can do, instead of the template's", {}
    )


class AlarmShape(Shape):
    title = Text("报警", "An alarm")
    id: Id = field("报警编号，全站唯一", "identity, unique in the site")
    cls: Literal["fire", "personal", "entrapment", "intrusion", "lift", "slope", "water", "fault"] = field(
        "类别：火警、求助、困人、入侵、电梯、边坡、消防水、故障", "class", alias="class"
    )
    severity: Literal["low", "medium", "high", "critical"] = field(
        "级别：蓝、黄、橙、红", "severity: blue, yellow, orange, red"
    )
    when: WhenShape = field("条件", "condition")
    text: TextShape = field("报警文字", "what a person reads")
    on_delay_s: Delay = field("条件持续多久才报警", "the condition must hold for so long", 0.0)
    off_delay_s: Delay = field("条件消失多久才恢复", "the condition must be away for so long", 0.0)
    latching: bool = field("自保持：须由人复位", "stays until a person resets it", False)
    place: PlaceShape | None = field(
        "位置；默认取第一个测点所属设备的位置", "place; default: that of the first point's device", None
    )
    realarm_s: float | None = field(
        "确认后仍未恢复，过多久再次呼叫",
        "acknowledged and still active for so long: calls again",
        None,
        ge=60,
        le=86400,
    )
    suppressed_by: WhenShape | None = field(
        "此条件成立期间不呼叫（仍记录）；火警、求助、困人不得使用",
        "hidden while this holds, recorded as ever; never for fire, personal and entrapment",
        None,
    )
    max_shelve_s: float | None = field(
        "人工搁置最长时间；默认 8 小时", "longest shelving by a person; default: 8 hours", None, ge=60, le=28800
    )
    advice: TextShape | None = field("处置建议；默认按类别", "what to do; default: by class", None)


class CalendarShape(Shape):
    title = Text("日历：用于 schedule 条件", "The calendar, for conditions of kind schedule")
    utc_offset_h: float = field(
        "当地时间比 UTC 早几小时", "local time is so many hours ahead of UTC", 8.0, ge=-12, le=14
    )
    holidays: list[Date] = field("节假日", "holidays", [], max_length=1000)
    workdays: list[Date] = field(
        "调休上班日，按周一算", "days worked instead; they count as Mondays", [], max_length=1000
    )


LONGEST_DELAY_S = 600
"""Of arming and disarming."""


class GuardShape(Shape):
    title = Text("防控等级", "The guard level")
    levels: dict[Annotated[int, Field(ge=1, le=9)], Part] = field(
        "等级及其名称", "levels and their names", dict(LEVELS), min_length=2
    )
    level: int = field(
        "首次启动时的等级；以后由命令改变", "level at the very first start; later a command changes it", 1
    )


class ZoneShape(Shape):
    title = Text("防区：布防时看守的一个测点", "A zone: a point that is watched while armed")
    point: PointId = field("测点", "point")
    opened: Annotated[bool | int | float | str, BeforeValidator(scalar)] = field(
        "门打开、有人或被拆动时的值", "its value when open, when somebody is there, when tampered with", True
    )
    entry: bool = field("出入路线：有进入和退出延时", "on the way in and out: delayed", False)
    interior: bool = field("留守布防（stay）时不看守", "not watched when armed with people inside (stay)", False)


class PartitionShape(Shape):
    title = Text("分区：一起布防和撤防", "A partition: what is armed and disarmed together")
    id: Id = field("分区编号", "identity")
    text: TextShape = field("名称", "what a person reads")
    zones: list[ZoneShape] = field("防区", "zones", min_length=1)
    exit_delay_s: float = field("退出延时", "time to leave after arming", 0.0, ge=0, le=LONGEST_DELAY_S)
    entry_delay_s: float = field("进入延时", "time to disarm after coming in", 0.0, ge=0, le=LONGEST_DELAY_S)
    place: PlaceShape = field("位置", "where it is", PlaceShape())


class UplinkShape(Shape):
    title = Text("上行链路", "An uplink")
    id: Id = field("链路编号", "identity")
    host: Host = field("平台的主机名或地址", "the broker's host")
    port: int = field("端口", "port", 8883, ge=1, le=65535)
    ca: File = field("CA 证书", "certificate of the authority")
    certificate: File = field("网关证书", "the gateway's certificate")
    key: File = field("私钥；同组和其他用户不得有任何权限", "the gateway's private key; no access for group and others")
    server_name: Annotated[str, Field(max_length=253)] = field(
        "平台证书中的名称；默认同 host", "name in the broker's certificate; default: host", ""
    )
    receipts: Literal["district", "none"] = field(
        "district：平台回执后才算送达；none：平台没有回执",
        "district: delivered when the district's receipt came; none: the platform gives no receipts",
        "district",
    )
    keepalive_s: int = field("MQTT 保活时间", "MQTT keep-alive", 10, ge=2, le=60)
    window: int = field("同时在途的消息数", "messages in flight", 20, ge=1, le=20)


class SiteFrame(Shape):
    """The top of the file; the items of each list are validated one by one, so that a bad one hides no other."""

    gateway: Any
    buses: list[Any]
    devices: list[Any]
    virtual: list[Any] = Field([])
    alarms: list[Any] = Field([])
    library: Any = Field({})
    guard: Any = Field({})
    partitions: list[Any] = Field([])
    outputs: list[Any] = Field([])
    keys: list[Any] = Field([])
    uplinks: list[Any] = Field([])
    calendar: Any = Field({})
    journal: Any = Field({})
    report: Any = Field({})
    metrics: Any = Field(None)


class SiteShape(Shape):
    title = Text("整个文件", "The whole file")
    gateway: GatewayShape = field("网关", "the gateway")
    buses: list[Annotated[BusShape, Field(discriminator="kind")]] = field("总线", "buses")
    devices: list[DeviceShape] = field("设备", "devices")
    library: dict[str, dict[str, Number]] = field(
        "启用的规则库：“规则族: {参数: 值}”（见 docs/rule-library.md）",
        "rules of the library that are switched on: 'family: {parameter: value}' (docs/rule-library.md)",
        {},
    )
    virtual: list[VirtualShape] = field("计算测点", "computed points", [])
    alarms: list[AlarmShape] = field("报警", "alarms", [])
    guard: GuardShape = field("防控等级", "the guard level", GuardShape())
    partitions: list[PartitionShape] = field("分区（布防、撤防）", "partitions, armed and disarmed", [])
    outputs: list[OutputShape] = field("输出（值班室的声、光）", "outputs: lamps and sounders of the guard room", [])
    keys: list[KeyShape] = field("按键（确认并消音）", "keys that acknowledge and silence", [])
    uplinks: list[UplinkShape] = field("上行链路", "uplinks", [])
    calendar: CalendarShape = field("日历", "the calendar", CalendarShape())
    journal: JournalShape = field("日志", "the journal", JournalShape())
    report: ReportShape = field("上报方式", "reporting", ReportShape())
    metrics: MetricsShape | None = field("监控指标", "metrics", None)
