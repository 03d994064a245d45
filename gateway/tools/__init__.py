"""The technician's tools: scan, peek, record, replay. Nothing of the running gateway imports them.

* `reads`: which requests a tool may send, and how their replies end; the gateway enforces the same list.
* `channel`: the running gateway's control socket; `lines`: a line of one's own (stand-alone) or a lent one.
* `sweep`: the scan as a generator of asks, without a clock; `templates`: which template fits; `draft`: the site file.
* `guess`: the plausible decodings of registers. `recording`, `replaying`: files of what was on the wire.
"""
