"""A transmission device of a scene calls the simulated centre, over TCP and UDP; and what a scene may say of it."""

import asyncio
import json

import pytest
import yaml

from firmware_sim.__main__ import TEMPLATES, Simulation
from firmware_sim.centre import Centre
from firmware_sim.scene import SceneError, read
from tests.waiting import until

DEVICE = {"id": "uitd-1", "template": "gb26875_device", "address": 889, "heartbeat_s": 0.2, "duty_after_s": 0.1}


def scene(folder, **more):
    file = folder / "scene.yaml"
    file.write_text(yaml.safe_dump({"transmitters": [DEVICE | more]}), encoding="utf-8")
    return read(file, TEMPLATES)


class Port(asyncio.DatagramProtocol):
    """The centre on a port, over either transport."""

    def __init__(self, centre):
        self.centre, self.writers, self.port = centre, [], 0

    async def open(self, transport):
        loop = asyncio.get_running_loop()
        if transport == "tcp":
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
        else:
            self.server, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
            self.port = self.server.get_extra_info("sockname")[1]

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        self.say = writer.write
        while data := await reader.read(4096):
            writer.write(self.centre.receive(data, asyncio.get_running_loop().time()))

    def datagram_received(self, data, addr):
        self.say = lambda out: self.server.sendto(out, addr)
        if out := self.centre.receive(data, asyncio.get_running_loop().time()):
            self.say(out)

    def connection_made(self, transport):
        pass

    def close(self):
        for writer in self.writers:
            writer.transport.abort()
        self.server.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_what_changes_in_the_scene_is_told_to_the_centre(tmp_path, transport):
    """Only that; a duty check is answered; a silent device says nothing, and tells all once it is well."""
    port = Port(Centre(1))
    await port.open(transport)
    simulation = Simulation(scene(tmp_path, transport=transport), tmp_path)
    running = asyncio.create_task(simulation.run())
    try:
        await until(lambda: (tmp_path / "ports.json").exists())
        simulation.command(json.dumps({"connect": {"uitd-1": ["127.0.0.1", port.port]}}).encode())
        await until(lambda: port.centre.frames)
        simulation.command(b'{"set": {"uitd-1/system_fire": true, "uitd-1/main_power_fault": 1}}')
        await until(lambda: len(port.centre.uploads) == 2)
        assert sorted(one.data[:6] for one in port.centre.uploads) == [
            bytes.fromhex("010101010300"),
            bytes.fromhex("150109") + port.centre.uploads[-1].data[-6:-3],
        ]
        port.say(port.centre.check_duty(889, 1, 0.0))
        await until(port.centre.duty_answers)
        assert "duty_check" in (tmp_path / "simulator.jsonl").read_text()
        simulation.command(b'{"fault": {"device": "uitd-1", "what": "silent"}}')
        simulation.command(b'{"set": {"uitd-1/system_fire": false}}')
        heard = len(port.centre.uploads)
        simulation.command(b'{"fault": {"device": "uitd-1", "what": "none"}}')
        await until(lambda: len(port.centre.uploads) == heard + 1)
        assert port.centre.uploads[-1].data[:6] == bytes.fromhex("010101010100")
    finally:
        simulation.stop()
        await running
        port.close()


async def test_a_device_calls_again_when_its_connection_is_gone(tmp_path):
    """And what was not confirmed is told there."""
    port = Port(Centre(1))
    await port.open("tcp")
    simulation = Simulation(scene(tmp_path), tmp_path)
    running = asyncio.create_task(simulation.run())
    try:
        await until(lambda: (tmp_path / "ports.json").exists())
        simulation.command(json.dumps({"connect": {"uitd-1": ["127.0.0.1", port.port]}}).encode())
        await until(lambda: port.centre.frames)
        port.writers[0].transport.abort()
        simulation.command(b'{"set": {"uitd-1/system_fire": true}}')
        await until(lambda: port.centre.uploads)
    finally:
        simulation.stop()
        await running
        port.close()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"address": "x"}, "address"),
        ({"operator": 300}, "operator"),
        ({"transport": "sctp"}, "transport"),
        ({"values": {"system_fire": 2}}, "not 0 or 1"),
        ({"values": {"duty_check": 3}}, "gateway's to know"),
        ({"template": "meokon_hydrant"}, "speaks meokon"),
    ],
)
def test_mistakes_in_a_scene_are_told(tmp_path, more, told):
    """Each with its path."""
    with pytest.raises(SceneError, match=r"transmitters\[0\]") as refused:
        scene(tmp_path, **more)
    assert told in str(refused.value)


def test_nobody_may_press_the_key(tmp_path):
    """``nobody``."""
    assert scene(tmp_path, duty_after_s="nobody").transmitters[0].duty_after_s is None
