"""A subscriber that costs nothing: ``python -m tests.faults.sink PORT PKI`` reads all that the observer may, and drops it.

Without anybody who listens a broker answers 0x10, which settles nothing. Prints READY; ends with its standard input.
"""

import socket
import ssl
import struct
import sys
import threading
from pathlib import Path

from tests.brokers import client_context
from tests.fake_broker import CONNECT, SUBSCRIBE, packet


def text(words):
    return struct.pack("!H", len(words)) + words


def main(port, pki):
    raw = socket.create_connection(("localhost", port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link: ssl.SSLSocket = client_context(pki, "observer").wrap_socket(raw, server_hostname="localhost")
    link.sendall(packet(CONNECT, 0, text(b"MQTT") + b"\x05\x02" + struct.pack("!H", 0) + b"\0" + text(b"sink")))
    link.recv(4096)
    link.sendall(packet(SUBSCRIBE, 2, struct.pack("!H", 1) + b"\0" + text(b"gengfu/#") + b"\0"))
    link.recv(4096)
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), link.shutdown(socket.SHUT_RDWR)), daemon=True).start()
    while link.recv(1 << 16):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
