"""How a test ends a server of its own: `await shut(server)`.

A call that CPython is taking while `Server.close` runs is forgotten with its socket open (its issue 109564). The warning
of it lands, whenever the garbage is collected, on an innocent test. So: take no more calls first, and let those that
are being taken come to their handler, which the test ends as it always does.
"""

import asyncio

TURNS = 8
"""Of the loop; a plain call needs three."""


async def shut(server):
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    server.close()
