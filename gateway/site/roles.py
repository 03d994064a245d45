"""The closed vocabulary by which a rule of the library finds its devices and points: classes of devices, roles of points.

A template says ``class: smoke_detector`` and, of a point, ``role: fire``. The role's meaning, kind and unit are fixed here,
so that a threshold of the library (MPa, degrees) means the same on every maker's device. A boolean role is true when
what its text says is so; a template turns a contact round, or picks a state of an enumeration, with ``role_value``.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.model import Kind, Text

STATE = (Kind.BOOL, Kind.ENUM)
NUMBER = (Kind.INT, Kind.FLOAT)


class Role(NamedTuple):
    text: Text
    """Of a boolean role: what is so while it is true."""
    kinds: tuple[Kind, ...] = STATE
    unit: str = ""
    """Of a number: its one unit."""


CLASSES: dict[str, Text] = {
    "smoke_detector": Text("感烟探测器", "smoke detector"),
    "heat_detector": Text("感温探测器", "heat detector"),
    "gas_detector": Text("可燃气体探测器", "combustible gas detector"),
    "call_point": Text("手动报警按钮", "manual call point"),
    "panel": Text("火灾报警控制器或用户信息传输装置", "fire panel or fire transmission device"),
    "door": Text("门禁控制的门", "access-controlled door"),
    "reader": Text("读卡器", "card reader"),
    "intrusion_detector": Text("入侵探测器", "intrusion detector"),
    "perimeter_detector": Text("周界探测器", "perimeter detector, always on"),
    "duress_button": Text("紧急求助按钮", "duress or help button"),
    "lift": Text("电梯", "lift"),
    "hydrant": Text("消火栓终端", "hydrant terminal"),
    "water_pressure": Text("管网或水箱压力变送器", "pressure transmitter of a fire main or tank"),
    "tilt": Text("倾角仪", "inclinometer"),
    "displacement": Text("位移计", "displacement gauge"),
    "power": Text("电源或蓄电池", "power supply or battery"),
}

ROLES: dict[str, Role] = {
    # fire
    "fire": Role(Text("发出火警信号", "signals a fire")),
    "gas": Role(Text("发出可燃气体报警", "signals combustible gas")),
    "pre_alarm": Role(Text("预警", "signals a pre-alarm")),
    "density": Role(Text("烟雾浓度", "smoke density"), NUMBER, "%/m"),
    "temperature": Role(Text("温度", "temperature"), NUMBER, "Cel"),
    "isolated": Role(Text("被屏蔽或禁用", "disabled or inhibited")),
    "removed": Role(Text("探测器被取下", "the detector's head is taken out")),
    "contaminated": Role(Text("需要清洗或维护", "dirty, or asks for service")),
    "supervision": Role(Text("监管报警（阀门、压力开关等）", "supervisory signal (a valve, a pressure switch)")),
    "feedback": Role(Text("联动设备已动作", "the linked equipment reports that it acted")),
    # any device
    "fault": Role(Text("自报故障", "reports a fault of its own")),
    "line_fault": Role(Text("所接线路故障", "a line that it monitors is faulty")),
    "channel_fault": Role(Text("通信信道故障", "its channel to the centre is faulty")),
    "main_power_fault": Role(Text("主电故障", "its main power failed")),
    "backup_power_fault": Role(Text("备电故障", "its backup power failed")),
    "battery_low": Role(Text("电池电量低", "its battery is low")),
    "battery": Role(Text("电池电量", "charge of its battery"), NUMBER, "%"),
    "heartbeat": Role(Text("心跳计数，正常时不断变化", "a counter that moves while it lives"), (Kind.INT,)),
    "tamper": Role(Text("被拆动", "tampered with")),
    # access and intrusion
    "door_open": Role(Text("门开着", "the door is open")),
    "lock_released": Role(Text("锁已释放", "the lock is released")),
    "exit_button": Role(Text("出门按钮按下", "the exit button is pressed")),
    "fire_release": Role(Text("消防释放信号", "released by the fire controller")),
    "denied": Role(Text("刚拒绝一次通行", "an access was just denied")),
    "duress": Role(Text("胁迫或求助", "duress or a call for help")),
    "reader_offline": Role(Text("读卡器离线", "a reader is off line")),
    "intrusion": Role(Text("探测到入侵", "detects an intruder")),
    # lift
    "present": Role(Text("轿厢内有人", "somebody is in the car")),
    "in_zone": Role(Text("平层", "level with a landing")),
    "door_closed": Role(Text("轿门已关", "the car door is closed")),
    "moving": Role(Text("运行中", "moving")),
    "inspection": Role(Text("检修状态", "inspection or maintenance")),
    "alarm_button": Role(Text("轿厢报警按钮按下", "the alarm button in the car is pressed")),
    "stopped_out_of_zone": Role(Text("控制器报非平层停梯", "the controller reports a stop out of the landing zone")),
    "door_fault": Role(Text("门开不了或关不上", "the door does not open or close")),
    "door_open_moving": Role(Text("开门运行", "moving with an open door")),
    "overspeed": Role(Text("超速", "too fast")),
    "over_top": Role(Text("冲顶", "over-run at the top")),
    "over_bottom": Role(Text("蹲底", "over-run at the bottom")),
    "safety_chain_open": Role(Text("安全回路断开", "the safety chain is open")),
    "electric_bike": Role(Text("电动车进入轿厢", "an electric bicycle is in the car")),
    # water
    "pressure": Role(Text("水压", "water pressure"), NUMBER, "MPa"),
    "pressure_low": Role(Text("设备自报欠压", "the device itself reports low pressure")),
    "pressure_high": Role(Text("设备自报超压", "the device itself reports high pressure")),
    "water_taken": Role(Text("正在出水", "water is being taken")),
    "tilted": Role(Text("倾倒", "tilted over")),
    "impact": Role(Text("受撞击", "was hit")),
    # slope
    "tilt": Role(Text("倾角", "tilt"), NUMBER, "deg"),
    "displacement": Role(Text("位移", "displacement"), NUMBER, "mm"),
}
