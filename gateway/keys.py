"""The uplinks' certificates and private keys on the disk: can they be used, and who can read a key? One answer for the uplink that loads
them and for `gengfu check`."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

from gateway.blueprint import Site
from gateway.certificates import LARGEST_BYTES
from gateway.errors import Mistake, unreadable
from gateway.model import Text, UplinkSpec


def is_open(path: Path) -> bool:
    """Can others than the owner read this private key? Raises OSError.

    A credential of systemd (LoadCredential=) is mode 0440 under an access list for this service alone: what looks like the
    group's right is the list's mask. It lies in a folder that systemd made for this service and named to it.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and path.resolve().parent == Path(folder).resolve() and not _others(Path(folder)):
        return bool(mode & 0o007)
    return bool(mode & 0o077)


def _others(folder: Path) -> bool:
    return bool(stat.S_IMODE(folder.stat().st_mode) & 0o007)


def mistakes(site: Site) -> list[Mistake]:
    """What is wrong with the certificates and keys of the uplinks. `check` refuses the file for it; a gateway that
    starts refuses that uplink alone, since local alarms must not depend on it (law 8)."""
    found = []
    for index, uplink in enumerate(site.uplinks):
        for key, text in _certificates(uplink):
            path = f"uplinks[{index}].{key}"
            line = site.lines.get(path, site.lines.get(f"uplinks[{index}]", 1))
            found.append(Mistake(str(site.source), line, path, text.en, text.zh))
    return found


def _certificates(uplink: UplinkSpec) -> list[tuple[str, Text]]:
    found = []
    for key in ("ca", "certificate", "key"):
        path = Path(getattr(uplink, key))
        try:
            mode = path.stat().st_mode
            with path.open("rb") as file:
                file.read(LARGEST_BYTES)  # a disk may open a file and not give its bytes
        except OSError as error:
            why = unreadable(error)
            found.append((key, Text(f"{path}：{why.zh}", f"{path}: {why.en}")))
            continue
        if key == "key" and is_open(path):
            text = Text(
                f"私钥可被其他用户访问（{stat.S_IMODE(mode):04o}）；请 chmod 600",
                f"others have access to the private key ({stat.S_IMODE(mode):04o}); chmod 600",
            )
            found.append((key, text))
    try:
        return found or _unusable(uplink)
    except OSError as error:  # not the second time
        return [("certificate", unreadable(error))]


def _unusable(uplink: UplinkSpec) -> list[tuple[str, Text]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(uplink.ca)
    except ssl.SSLError:
        return [("ca", Text("不是 PEM 证书", "is no certificate in PEM format"))]
    try:
        context.load_cert_chain(uplink.certificate, uplink.key, password=lambda: b"")  # never ask at a terminal
    except ssl.SSLError as error:
        why = error.reason or "PEM"
        return [("certificate", Text(f"证书和私钥不可用（{why}）", f"certificate and key cannot be used ({why})"))]
    return []
