"""GB/T 26875.3-2011, what the numbers mean: commands, system types, component types, analogue types, state bits and
operation flags, each with its Chinese and English name.

Tables 2 to 6 and figures 6 to 23 of the standard (standards.md 1.3, 1.5, 1.6: A). What is not in a table is reserved,
from 128 on it belongs to the vendor: `system_name` and the others say so, they never fail. Only data and look-ups here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.model import Text

CONTROL, SEND, CONFIRM, REQUEST, RESPOND, DENY = range(1, 7)
COMMANDS: dict[int, Text] = {
    CONTROL: Text("控制命令", "control"),
    SEND: Text("发送数据", "send data"),
    CONFIRM: Text("确认", "confirm"),
    REQUEST: Text("请求", "request"),
    RESPOND: Text("应答", "response"),
    DENY: Text("否认", "deny"),
}
USER_DEFINED = range(128, 256)
RESERVED_NAME = Text("保留", "reserved")
USER_NAME = Text("用户自定义", "user-defined")


class Bit(NamedTuple):
    """One bit of a state word or of the operation flags."""

    name: str
    text: Text


class Analogue(NamedTuple):
    """One analogue type: the value is the signed 16-bit number divided by `divisor`, in `unit`."""

    text: Text
    unit: str
    divisor: int


SYSTEMS: dict[int, Text] = {
    0: Text("通用", "generic"),
    1: Text("火灾报警系统", "fire alarm system"),
    10: Text("消防联动控制器", "linkage controller"),
    11: Text("消火栓系统", "hydrant system"),
    12: Text("自动喷水灭火系统", "sprinkler system"),
    13: Text("气体灭火系统", "gas extinguishing system"),
    14: Text("水喷雾灭火系统（泵启动方式）", "water spray system (pump)"),
    15: Text("水喷雾灭火系统（压力容器启动方式）", "water spray system (pressure vessel)"),
    16: Text("泡沫灭火系统", "foam system"),
    17: Text("干粉灭火系统", "dry powder system"),
    18: Text("防烟排烟系统", "smoke control and exhaust"),
    19: Text("防火门及卷帘系统", "fire doors and shutters"),
    20: Text("消防电梯", "fire lift"),
    21: Text("消防应急广播", "emergency broadcast"),
    22: Text("消防应急照明和疏散指示系统", "emergency lighting and evacuation signs"),
    23: Text("消防电源", "fire power supply"),
    24: Text("消防电话", "fire telephone"),
}

COMPONENTS: dict[int, Text] = {
    0: Text("通用", "generic"),
    1: Text("火灾报警控制器", "fire alarm controller"),
    10: Text("可燃气体探测器", "combustible gas detector"),
    11: Text("点型可燃气体探测器", "point gas detector"),
    12: Text("独立式可燃气体探测器", "stand-alone gas detector"),
    13: Text("线型可燃气体探测器", "line gas detector"),
    16: Text("电气火灾监控报警器", "electrical fire alarm"),
    17: Text("剩余电流式电气火灾监控探测器", "residual current detector"),
    18: Text("测温式电气火灾监控探测器", "electrical temperature detector"),
    21: Text("探测回路", "detection loop"),
    22: Text("火灾显示盘", "fire display panel"),
    23: Text("手动火灾报警按钮", "manual call point"),
    24: Text("消火栓按钮", "hydrant button"),
    25: Text("火灾探测器", "fire detector"),
    30: Text("感温火灾探测器", "heat detector"),
    31: Text("点型感温火灾探测器", "point heat detector"),
    32: Text("点型感温火灾探测器（S型）", "point heat detector (S)"),
    33: Text("点型感温火灾探测器（R型）", "point heat detector (R)"),
    34: Text("线型感温火灾探测器", "line heat detector"),
    35: Text("线型感温火灾探测器（S型）", "line heat detector (S)"),
    36: Text("线型感温火灾探测器（R型）", "line heat detector (R)"),
    37: Text("光纤感温火灾探测器", "fibre heat detector"),
    40: Text("感烟火灾探测器", "smoke detector"),
    41: Text("点型离子感烟火灾探测器", "point ionisation smoke detector"),
    42: Text("点型光电感烟火灾探测器", "point optical smoke detector"),
    43: Text("线型光束感烟火灾探测器", "beam smoke detector"),
    44: Text("吸气式感烟火灾探测器", "aspirating smoke detector"),
    50: Text("复合式火灾探测器", "combined detector"),
    51: Text("复合式感烟感温火灾探测器", "smoke and heat detector"),
    52: Text("复合式感光感温火灾探测器", "light and heat detector"),
    53: Text("复合式感光感烟火灾探测器", "light and smoke detector"),
    61: Text("紫外火焰探测器", "ultraviolet flame detector"),
    62: Text("红外火焰探测器", "infrared flame detector"),
    69: Text("感光火灾探测器", "flame detector"),
    74: Text("气体探测器", "gas detector"),
    78: Text("图像摄像方式火灾探测器", "image fire detector"),
    79: Text("感声火灾探测器", "sound fire detector"),
    81: Text("气体灭火控制器", "gas extinguishing controller"),
    82: Text("消防电气控制装置", "electrical control device"),
    83: Text("消防控制室图形显示装置", "graphic display"),
    84: Text("模块", "module"),
    85: Text("输入模块", "input module"),
    86: Text("输出模块", "output module"),
    87: Text("输入/输出模块", "input/output module"),
    88: Text("中继模块", "relay module"),
    91: Text("消防水泵", "fire pump"),
    92: Text("消防水箱", "fire water tank"),
    95: Text("喷淋泵", "spray pump"),
    96: Text("水流指示器", "flow indicator"),
    97: Text("信号阀", "signal valve"),
    98: Text("报警阀", "alarm valve"),
    99: Text("压力开关", "pressure switch"),
    101: Text("阀驱动装置", "valve actuator"),
    102: Text("防火门", "fire door"),
    103: Text("防火阀", "fire damper"),
    104: Text("通风空调", "ventilation"),
    105: Text("泡沫液泵", "foam pump"),
    106: Text("管网电磁阀", "network solenoid valve"),
    111: Text("防烟排烟风机", "smoke fan"),
    113: Text("排烟防火阀", "smoke exhaust damper"),
    114: Text("常闭送风口", "normally closed supply inlet"),
    115: Text("排烟口", "smoke exhaust inlet"),
    116: Text("电控挡烟垂壁", "smoke curtain"),
    117: Text("防火卷帘控制器", "shutter controller"),
    118: Text("防火门监控器", "fire door monitor"),
    121: Text("警报装置", "alarm device"),
}

ANALOGUES: dict[int, Analogue] = {
    1: Analogue(Text("事件计数", "event count"), "", 1),
    2: Analogue(Text("高度", "height"), "m", 100),
    3: Analogue(Text("温度", "temperature"), "°C", 10),
    4: Analogue(Text("压力", "pressure"), "MPa", 10),
    5: Analogue(Text("压力", "pressure"), "kPa", 10),
    6: Analogue(Text("气体浓度", "gas concentration"), "%LEL", 10),
    7: Analogue(Text("时间", "time"), "s", 1),
    8: Analogue(Text("电压", "voltage"), "V", 10),
    9: Analogue(Text("电流", "current"), "A", 10),
    10: Analogue(Text("流量", "flow"), "L/s", 10),
    11: Analogue(Text("风量", "air volume"), "m3/min", 10),
    12: Analogue(Text("风速", "wind speed"), "m/s", 1),
}

_SHARED_BITS: dict[int, Bit] = {
    0: Bit("normal", Text("正常运行", "normal operation")),
    1: Bit("fire", Text("火警", "fire alarm")),
    2: Bit("fault", Text("故障", "fault")),
    3: Bit("shielded", Text("屏蔽", "shielded")),
    4: Bit("supervision", Text("监管", "supervision")),
    5: Bit("started", Text("启动（开启）", "started or open")),
    6: Bit("feedback", Text("反馈", "feedback")),
    7: Bit("delay", Text("延时", "delay")),
}
SYSTEM_BITS: dict[int, Bit] = _SHARED_BITS | {
    8: Bit("main_power_fault", Text("主电故障", "main power fault")),
    9: Bit("backup_power_fault", Text("备电故障", "backup power fault")),
    10: Bit("bus_fault", Text("总线故障", "bus fault")),
    11: Bit("manual", Text("手动状态", "manual mode")),
    12: Bit("configuration_changed", Text("配置改变", "configuration changed")),
    13: Bit("reset", Text("复位", "reset")),
}
COMPONENT_BITS: dict[int, Bit] = _SHARED_BITS | {8: Bit("power_fault", Text("电源故障", "power fault"))}
DEVICE_BITS: dict[int, Bit] = {
    0: Bit("normal", Text("正常监视", "normal monitoring")),
    1: Bit("fire", Text("火警", "fire alarm")),
    2: Bit("fault", Text("故障", "fault")),
    3: Bit("main_power_fault", Text("主电故障", "main power fault")),
    4: Bit("backup_power_fault", Text("备电故障", "backup power fault")),
    5: Bit("channel_fault", Text("与监控中心通信信道故障", "channel to the centre faulty")),
    6: Bit("line_fault", Text("监测连接线路故障", "monitored line faulty")),
}
TEST_BIT = Bit("test", Text("测试", "test"))
"""Bit 0 where a dialect turns its meaning round. Whatever it says, it never suppresses an alarm."""

_OPERATIONS: dict[int, Bit] = {
    0: Bit("reset", Text("复位", "reset")),
    1: Bit("mute", Text("消音", "mute")),
    2: Bit("manual_alarm", Text("手动报警", "manual alarm")),
    3: Bit("alarm_cleared", Text("警情消除", "alarm cleared")),
    4: Bit("self_test", Text("自检", "self-test")),
    6: Bit("test", Text("测试", "test")),
}
SYSTEM_OPERATIONS: dict[int, Bit] = _OPERATIONS | {5: Bit("confirmed", Text("确认", "confirmed"))}
DEVICE_OPERATIONS: dict[int, Bit] = _OPERATIONS | {5: Bit("duty_answer", Text("查岗应答", "duty check answered"))}


def name_of(code: int, table: Mapping[int, Text]) -> Text:
    """The name of a code: that of its table, else whether it is reserved or the vendor's."""
    return table.get(code, USER_NAME if code in USER_DEFINED else RESERVED_NAME)


def bits_set(word: int, bits: Mapping[int, Bit]) -> dict[str, bool]:
    """Every bit that has a name, and whether it is set."""
    return {bit.name: bool(word >> at & 1) for at, bit in bits.items()}


def reserved_set(word: int, bits: Mapping[int, Bit]) -> int:
    """The bits of `word` that are set and have no name."""
    return word & ~sum(1 << at for at in bits)
