"""What each quality means, for persons and for receivers: one table in both languages. Pure."""

from __future__ import annotations

from gateway.model import Quality, Text

REASONS: dict[Quality, Text] = {
    Quality.GOOD: Text("正常", "good"),
    Quality.OUT_OF_RANGE: Text("超出仪表量程", "outside the instrument's range"),
    Quality.JUMPING: Text("变化过快，不合常理", "changes faster than the quantity can"),
    Quality.STUCK: Text("数值长时间不变，疑似卡滞", "has not moved for too long: stuck?"),
    Quality.DOUBLE_ADDRESS: Text("两台设备使用同一地址", "two devices answer for this address"),
    Quality.COUNT_LOST: Text(
        "计数中断：设备复位、更换或应答丢失", "counts may be missing: reset, exchange or lost reply"
    ),
    Quality.INCOMPLETE: Text("部分输入缺失或可疑", "some of its inputs are missing or uncertain"),
    Quality.NOT_RESPONDING: Text("无应答", "no reply"),
    Quality.BAD_FRAME: Text("应答损坏，不可信", "a reply that cannot be trusted"),
    Quality.REFUSED: Text("设备拒绝应答", "the device refused"),
    Quality.NO_SUCH_REGISTER: Text("设备没有此寄存器，请核对模板", "the device has no such register: see the template"),
    Quality.NOT_A_NUMBER: Text("应答中没有有效数字", "the reply holds no number"),
    Quality.SENSOR_FAULT: Text("设备报告传感器故障", "the device says that its sensor failed"),
    Quality.LINE_DOWN: Text("线路或端口不可用", "the line or port cannot be used"),
    Quality.NOT_YET: Text("启动后尚未收到", "not heard since the start"),
    Quality.DRIVER_FAULT: Text("驱动程序故障", "the driver failed"),
}
