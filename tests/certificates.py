"""Certificates that must be refused, beside good ones; EC keys, made in a few milliseconds.

good = certificates.Directory(tmp_path / "pki")          # its own authority
good.server("broker", hosts=("localhost",))              # broker.pem, broker.key
good.server("old", expired=True), good.server("cn", hosts=())   # expired; "localhost" in the common name only
good.client("gateway")
"""

import ssl
import time

from gateway import pki

YEAR_S = 366 * 86400


class Directory:
    """One authority and what it signed, as PEM files."""

    def __init__(self, path):
        path.mkdir(mode=0o700)
        self.path = path
        self.authority = pki.make_authority(time.time() - 3 * YEAR_S / 4)
        pki.write(path, "ca", self.authority)

    def file(self, name):
        return str(self.path / name)

    def server(self, name, hosts=("localhost", "127.0.0.1"), *, common="localhost", expired=False):
        self._issue(name, common, pki.Role.SERVER, hosts, expired)

    def client(self, name, *, common="demo-01", expired=False):
        self._issue(name, common, pki.Role.CLIENT, (), expired)

    def _issue(self, name, common, role, hosts, expired):
        now = time.time() - (2 * YEAR_S if expired else 0)
        pki.write(self.path, name, pki.issue(self.authority, common, role, now, hosts))

    def server_context(self, name, trusts=None):
        """A server that requires a client certificate of `trusts` (its own authority when None)."""
        return server_context(self.path, name, (trusts or self).path)


def server_context(path, name, trusts):
    """The same from the files of another process."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path / f"{name}.pem", path / f"{name}.key")
    context.load_verify_locations(trusts / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
