"""What is behind a fault of the gateway itself, and what a person does about it. Pure: a table.

Guarantee: every concern of `gateway.health` has a line, in both languages (a test compares). The action goes into the alarm's
message; docs/gateway-faults.md is made of the whole.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.model import Text


class Remedy(NamedTuple):
    cause: Text
    action: Text


REMEDIES: dict[str, Remedy] = {
    "storage_alarms_failing": Remedy(
        Text("存储卡写满、损坏或变为只读", "the card is full, broken, or has become read-only"),
        Text(
            "报警仍在发出，但断电会丢失未落盘的：保持供电，gengfu doctor 查看磁盘，更换存储卡",
            "alarms still go out, but what is not on the disk is lost with the power: keep it on, look at the disk with gengfu doctor, "
            "replace the card",
        ),
    ),
    "storage_telemetry_failing": Remedy(
        Text("存储卡写满、损坏或变为只读", "the card is full, broken, or has become read-only"),
        Text(
            "gengfu doctor 查看磁盘，更换存储卡；报警不受影响",
            "look at the disk with gengfu doctor, replace the card; alarms go on",
        ),
    ),
    "storage_set_aside": Remedy(
        Text(
            "断电或坏卡损坏了日志文件；网关已用新文件继续",
            "a power cut or a bad card damaged a journal file; the gateway goes on with a new one",
        ),
        Text(
            "保留日志目录中被隔离的文件，检查电源和存储卡；重启后此报警消失",
            "keep the file that was set aside in the journal's folder, look at power and card; the alarm ends with the next start",
        ),
    ),
    "alarm_lane_filling": Remedy(
        Text("长时间没有区平台回执，或报警过多", "no receipts from the district for long, or too many alarms"),
        Text(
            "恢复与区平台的连接；查看 gengfu alarms 中反复出现的报警；必要时增大 alarm_quota_mib",
            "mend the link to the district; look at what alarms again and again in gengfu alarms; raise alarm_quota_mib if needed",
        ),
    ),
    "uplink_down": Remedy(
        Text("网线、4G、路由器、防火墙，或区平台停机", "cable, 4G, router, firewall, or the district is down"),
        Text(
            "报警暂时只在本地：值班室须有人；gengfu doctor 查看连接，检查网络",
            "alarms are local only: somebody must be in the guard room; look at the link with gengfu doctor, then at the network",
        ),
    ),
    "uplink_refused": Remedy(
        Text(
            "证书过期或不被信任、私钥他人可读、名称不符、无权限",
            "a certificate ended or is not trusted, others can read the key, a wrong name, no right",
        ),
        Text(
            "gengfu doctor 指出哪一项；更换证书或修正权限后自动重连，无需重启",
            "gengfu doctor says which; once certificate or rights are right it connects by itself, without a restart",
        ),
    ),
    "certificate_ending": Remedy(
        Text("证书有效期不足30天", "a certificate has less than 30 days left"),
        Text(
            "向区平台申请新证书并放入 pki 目录",
            "get a new certificate from the district and put it into the pki folder",
        ),
    ),
    "clock_not_set": Remedy(
        Text("没有可用的时间服务器（NTP），或无网络", "no time server (NTP) can be reached, or no network"),
        Text(
            "报警不受影响，但时间不可信：timedatectl 查看，设置可达的 NTP 服务器",
            "alarms go on, but their times are not to be relied on: look with timedatectl, set an NTP server that can be reached",
        ),
    ),
    "receipts_overdue": Remedy(
        Text(
            "已连上消息服务器，但区平台的接收程序没有确认",
            "connected to the broker, but the district's receiver confirms nothing",
        ),
        Text(
            "电话通知区平台值班：报警可能无人看到；不会丢失，恢复后补发",
            "call the district: perhaps nobody sees the alarms there; nothing is lost, it is sent again",
        ),
    ),
    "parts_failing": Remedy(
        Text("程序缺陷；该部件正在重试，其他部件不受影响", "a bug; this part is tried again, the others go on"),
        Text(
            "gengfu status 查看 fault 行；保存 journalctl -u gengfu 的输出并交给开发方",
            "look at the fault lines of gengfu status; keep the output of journalctl -u gengfu and send it to the makers",
        ),
    ),
    "last_known_good": Remedy(
        Text(
            "站点文件被拒绝、更改已撤销或试运行中断，或启动后反复崩溃",
            "the site file was refused, a change was undone or its trial cut off, or the gateway crashed again and again",
        ),
        Text(
            "gengfu check 站点文件，改正后 gengfu apply；在此之前按上次有效的配置监视",
            "gengfu check the site file, mend it, gengfu apply; until then the gateway watches by the last one that was good",
        ),
    ),
    "update_undone": Remedy(
        Text(
            "新版本三次启动均未满一分钟，或启动时无响应、找不到可用的站点文件",
            "three starts of the new version did not come to a minute, or one hung or found no usable site",
        ),
        Text(
            "保存 journalctl -u gengfu 的输出并交给开发方；监视照常；下次 make install 后恢复",
            "keep the output of journalctl -u gengfu and send it to the makers; it watches as before; the next make install ends it",
        ),
    ),
    "output_failing": Remedy(
        Text(
            "继电器模块失联、GPIO 被占用或接线断开",
            "the relay module does not answer, a GPIO line is taken, a wire is off",
        ),
        Text(
            "声光可能不响：值班室须有人看屏幕；检查模块电源和接线",
            "lamps and sounder may stay silent: somebody must watch the screen; look at the module's power and wires",
        ),
    ),
    "life_isolated": Remedy(
        Text(
            "有人为检修停用了报警，尚未恢复",
            "somebody took an alarm out of service for a repair and has not returned it",
        ),
        Text(
            "gengfu alarms --aside 查看何人、何故、何时为止；期间该处改为人工巡查，修好后 gengfu return-to-service",
            "gengfu alarms --aside says who, why and until when; patrol there meanwhile, gengfu return-to-service when it is repaired",
        ),
    ),
    "points_doubtful": Remedy(
        Text(
            "探测器故障、进水、干扰，或两台设备同一地址",
            "a detector fails, water, interference, or two devices on one address",
        ),
        Text(
            "gengfu status 找出可疑的设备，gengfu read 查看测点；这些值可以引发报警，不能解除报警",
            "find the device in gengfu status, its points with gengfu read; such values can raise an alarm and never clear one",
        ),
    ),
}
