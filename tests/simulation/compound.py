"""A random compound: the site file of the gateway, the scene of its simulated devices, and what must raise which alarm.

What must raise is said here in the words of the one who installed the sensors (`Sense`), never taken from the site's rules.
"""

from dataclasses import dataclass, field

import yaml

FALSE, EDGE, TRUE = 0, 1, 2
GATEWAY = "sim-01"
PORT = 7000
TIMEOUT_S = 0.2


@dataclass(frozen=True)
class Sense:
    """One alarm over one point: it is there while the value has been at or beyond `limit` for `on_s`, and over when it has
    been below `over` (or another state) for `off_s`."""

    alarm: str
    device: str
    point: str
    limit: float
    over: float | None = None
    on_s: float = 0.0
    off_s: float = 0.0

    def shows(self, value):
        if self.over is None:
            return TRUE if value == self.limit else FALSE
        return TRUE if value > self.limit else FALSE if value < self.over else EDGE


@dataclass
class Compound:
    """`site` and `scene` are YAML."""

    site: str
    scene: str
    senses: list
    devices: dict
    """Id -> `Kind`."""
    lines: dict
    """Id of a polled bus -> its devices."""
    terminals: list
    life: set = field(default_factory=set)
    """Alarms that nobody may shelve."""


@dataclass(frozen=True)
class Kind:
    template: str
    line: str
    rest: dict
    """Point -> value, when all is quiet."""
    periods: dict
    several: bool = False
    """A group of it takes more than one exchange."""


REST = {
    "generic_smoke_loop": {"density": 0.2, "alarm": 0, "fault": 0, "temperature": 21.5},
    "waveshare_io8_door": {"door_open": 0, "lock_engaged": 1, "exit_button": 0, "fire_release": 0},
    "vanke_lift_box": {
        "safety_chain_open": 0, "stopped_out_of_zone": 0, "door_open_running": 0, "overspeed": 0, "alarm_button": 0,
        "maintenance": 0, "moving": 0, "door_closed": 1, "level": 1, "people": 0, "floor": 3, "speed": 0.0,
        "run_hours": 4711, "starts": 123456, "energy": 5000.0,
    },
    "bwsensing_bwm826": {"x": 1.2, "y": -0.4},
    "witmotion_wt901c485": {
        "roll": 0.5, "pitch": -0.5, "yaw": 10.0, "acceleration_x": 0.0, "acceleration_y": 0.0, "acceleration_z": 9.8,
        "temperature": 19.0,
    },
    "meokon_hydrant": {
        "pressure": 0.35, "battery": 90, "rssi": -70, "high": 0, "low": 0, "battery_low": 0, "sensor_fault": 0,
        "hardware_fault": 0, "impact": 0, "tilt": 0, "water_taken": 0,
    },
}  # fmt: skip
ON_A_LINE = (
    "generic_smoke_loop",
    "generic_smoke_loop",
    "waveshare_io8_door",
    "bwsensing_bwm826",
    "witmotion_wt901c485",
)
PERIODS = {
    "generic_smoke_loop": {"safety": (0.5, 1, 2), "status": (5, 10)},
    "waveshare_io8_door": {"safety": (0.5, 1, 2)},
    "vanke_lift_box": {"safety": (0.5, 1), "car": (1, 2), "status": (10, 20)},
    "bwsensing_bwm826": {"safety": (1, 2, 5)},
    "witmotion_wt901c485": {"safety": (1, 2), "status": (10, 20)},
    "meokon_hydrant": {},
}


def make(chance):
    """Two or three lines with a few devices each, perhaps a terminal that calls."""
    buses, devices, lines, scene_lines, servers = [], [], {}, [], []
    kinds = {}
    for number in range(chance.choice((1, 2, 2))):
        line = f"line-{number}"
        buses.append(
            {"id": line, "kind": "serial", "port": f"virtual-{number}", "baud": 9600, "reply_timeout_s": TIMEOUT_S}
        )
        members = [_device(chance, line, index, chance.choice(ON_A_LINE)) for index in range(chance.randint(1, 4))]
        lines[line] = [entry["id"] for entry in members]
        devices += members
        scene_lines.append({"id": line, "devices": [_of_scene(entry) for entry in members]})
    if chance.random() < 0.7:
        buses.append(
            {"id": "lifts", "kind": "tcp", "host": "lifts.invalid", "tcp_port": 502, "reply_timeout_s": TIMEOUT_S}
        )
        members = [_device(chance, "lifts", index, "vanke_lift_box") for index in range(chance.randint(1, 2))]
        lines["lifts"] = [entry["id"] for entry in members]
        devices += members
        servers.append({"id": "lifts", "devices": [_of_scene(entry) for entry in members]})
    terminals = []
    if chance.random() < 0.5:
        buses.append(
            {"id": "hydrants", "kind": "listen", "host": "127.0.0.1", "tcp_port": PORT, "longest_silence_s": 100}
        )
        entry = _device(chance, "hydrants", 0, "meokon_hydrant") | {"address": "SHMK19060013"}
        devices.append(entry)
        terminals.append(entry["id"])
    for entry in devices:
        kinds[entry["id"]] = Kind(
            entry["template"], entry["bus"], REST[entry["template"]], entry.get("periods_s", {}),
            several=entry["template"] == "witmotion_wt901c485",
        )  # fmt: skip
    senses, alarms, life = _alarms(chance, kinds)
    site = {
        "gateway": {"id": GATEWAY, "control_socket": "control.sock"},
        "journal": {"directory": "journal", "telemetry_commit_s": chance.choice((1, 2, 5))},
        "report": {"by_exception": chance.random() < 0.8},
        "buses": buses,
        "devices": devices,
        "alarms": alarms,
        "uplinks": [{"id": "district", "host": "broker.invalid", "port": 8883, "ca": "ca", "certificate": "c", "key": "k"}],
    }  # fmt: skip
    scene = {"lines": scene_lines, "servers": servers}
    if terminals:
        scene["terminals"] = [
            {"id": name, "template": "meokon_hydrant", "address": "SHMK19060013"} for name in terminals
        ]
    return Compound(
        yaml.safe_dump(site, allow_unicode=True), yaml.safe_dump(scene), senses, kinds, lines, terminals, life
    )


def _device(chance, line, index, template):
    name = f"{line}-{template.partition('_')[0]}-{index}"
    periods = {group: chance.choice(several) for group, several in PERIODS[template].items()}
    return {
        "id": name, "bus": line, "template": template, "address": index + 1, "simulated": False,
        "place": {"building": "7", "floor": str(index), "zone": f"z{index % 2}"}, "text": {"zh": name, "en": name},
    } | ({"periods_s": periods} if periods else {})  # fmt: skip


def _of_scene(entry):
    return {key: entry[key] for key in ("id", "template", "address")} | {"values": REST[entry["template"]]}


def _alarms(chance, kinds):
    senses, alarms, life = [], [], set()

    def add(device, name, cls, point, limit, over=None, on_s=0.0, off_s=0.0, latching=False):
        path = f"{device}/{point}"
        what = (
            {"equals": {"point": path, "value": bool(limit)}}
            if over is None
            else {"above": {"point": path, "limit": limit, "hysteresis": round(limit - over, 6)}}
        )
        alarm = f"{device}-{name}"
        alarms.append(
            {"id": alarm, "class": cls, "severity": "critical" if cls in LIFE else "high", "when": what, "on_delay_s": on_s,
             "off_delay_s": off_s, "latching": latching, "text": {"zh": alarm, "en": alarm}}
        )  # fmt: skip
        senses.append(Sense(alarm, device, point, limit, over, on_s, off_s))
        if cls in LIFE:
            life.add(alarm)

    for device, kind in kinds.items():
        match kind.template:
            case "generic_smoke_loop":
                add(device, "fire", "fire", "alarm", 1, off_s=chance.choice((0, 10)), latching=True)
                add(device, "smoke", "fire", "density", 5.0, 4.5, on_s=chance.choice((0, 4)), off_s=10, latching=True)
                add(device, "fault", "fault", "fault", 1)
            case "waveshare_io8_door":
                add(device, "held", "intrusion", "door_open", 1, on_s=chance.choice((5, 20)))
                add(device, "unlocked", "intrusion", "lock_engaged", 0, off_s=chance.choice((0, 3)))
            case "vanke_lift_box":
                add(device, "button", "personal", "alarm_button", 1, latching=True)
                add(device, "overspeed", "lift", "overspeed", 1, latching=chance.random() < 0.5)
            case "bwsensing_bwm826":
                add(device, "tilt", "slope", "x", 5.0, 4.8, off_s=5)
            case "witmotion_wt901c485":
                add(device, "tilt", "slope", "roll", 8.0, 7.5, on_s=3)
            case "meokon_hydrant":
                add(device, "disturbed", "water", "tilt", 1)
    return senses, alarms, life


LIFE = ("fire", "personal", "entrapment")
