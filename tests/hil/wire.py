"""Two serial devices that are wired to each other, without hardware: two pseudo terminals and a thread that carries bytes.

Each byte takes its time; what was sent is handed over whole when its last byte has arrived, as a USB adapter does.
"""

import os
import select
import threading
import time
import tty


class Wire:
    def __init__(self, character_s):
        self._character_s = character_s
        self._ends = [os.openpty(), os.openpty()]
        for master, slave in self._ends:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self.port, self.peer = (os.ttyname(slave) for _, slave in self._ends)
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        masters = [master for master, _ in self._ends]
        other = dict(zip(masters, reversed(masters), strict=True))
        underway = {master: [] for master in masters}  # (when it has arrived, the bytes)
        while True:
            waits = [queue[0][0] - time.monotonic() for queue in underway.values() if queue]
            ready, _, _ = select.select([*masters, self._stop], [], [], max(0.0, min(waits)) if waits else None)
            if self._stop in ready:
                return
            now = time.monotonic()
            for master in masters:
                queue = underway[master]
                if master in ready:
                    data = os.read(master, 4096)
                    begin = max(now, queue[-1][0]) if queue else now
                    queue.append((begin + len(data) * self._character_s, data))
                while queue and queue[0][0] <= now:
                    os.write(other[master], queue.pop(0)[1])

    def close(self):
        os.close(self._stopper)
        self._thread.join()
        os.close(self._stop)
        for master, slave in self._ends:
            os.close(master)
            os.close(slave)
