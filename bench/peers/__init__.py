"""Gengfu beside other gateways, in one run on one machine: ``python -m bench peers``.

    plan      what is asked of a product, in no product's words; what a product is
    gengfu, thingsboard, modpoll, nodered      each: how it is installed, configured, and read at the broker
    stage     broker and processes of one measurement; processor time as the kernel accounts it
    receiver  the one counting subscriber for all of them (a process of its own)
    field     Modbus TCP devices some of which never answer (a process of its own)
    line      a serial line that keeps real time (a process of its own)
    pieces    the measurements
    table     the figures side by side. Pure

Every product gets the best configuration that its documents or source offer: one read per block of registers, 500 ms for a
reply and no repetition where it can be told so, QoS 1, TLS as good as it can do, nothing that calls the internet. What a
product cannot do stands in the table as that. Peers live in environments of their own, outside of the project's.
"""
