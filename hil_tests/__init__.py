"""The same checks on real ports (hardware in the loop): `pytest hil_tests --port ... --peer ...`, see README.md.

    setting      what the person asked for on the command line, and what that makes of the run
    simulator    the simulated devices, on a pseudo terminal or on the peer's adapter
    world        the gateway's real site loader, bus, drivers and poller on the port; the only one that opens it
    acceptance   the table for the acceptance file (验收), Chinese and English
    test_port    the port itself: settings, parity, pulled and plugged in
    test_line    the whole line, with the simulator at its other end
    test_device  one real device with its template, read only

The first paragraph of a check's docstring is what its row says in Chinese, the second what it says in English.
"""
