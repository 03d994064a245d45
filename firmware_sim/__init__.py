"""Simulated devices, lines and faults: the oracle that the gateway is tested against.

The map
    scene.py      a scene file -> devices, lines, servers, terminals, story; every mistake at once
    story.py      the story's steps -> a plain list of changes with their times
    template.py   reads a template's register map; registers.py encodes point values into registers
    modbus.py bwm826.py meokon.py uitd.py panel.py    what one simulated device says; pure
    fault.py      what a fault does to an answer; pure
    line.py       an RS-485 line with its real timing, pure; pty_port.py puts it on a pseudo terminal
    server.py     Modbus TCP; terminal.py and transmitter.py call the gateway
    centre.py     a fire centre, for what calls one; pure
    field.py      the values and faults of now; log.py every change, answer and fault as JSON lines
    expect.py     which change causes which alarm: when it was made, for a report from outside
    load.py       many cheap Modbus TCP devices for the bench
    link.py       the way to the district, as a process that can stall, cut and mend it
    __main__.py   the process; process.py what it shares with load.py

It guarantees independence: it imports nothing of gateway, drivers or rules, and shares with them only the template files.
What a value looks like on the wire is worked out here a second time, from the same documents.
"""
