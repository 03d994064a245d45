"""TLS of an uplink: who is trusted, and what we show.

Guarantees
* TLS 1.3; the broker's certificate and alternative names are verified, the common name never counts; our own
  certificate is always offered; a private key that others can read is refused before it is loaded.
* At 1970, with a clock that nobody has set yet (`Clock.behind`), dates are judged by the floor of the clock instead of by
  OpenSSL: what had ended by then is over, what begins later may have begun. So are the authority's file and the broker's own
  certificate; those of certificates between the two are then not looked at. Everything else is verified as always.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from gateway import certificates, keys
from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.model import UplinkSpec

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL (X509_VERIFY_PARAM_set_flags(3)); Python has no name for it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a handshake goes by."""

    context: ssl.SSLContext
    server_name: str
    """What the broker's certificate must name."""
    judged_at: float | None
    """Earliest wall time that it can be, by which we judge dates ourselves; None: OpenSSL does."""

    def wrap(self, plain: socket.socket) -> ssl.SSLSocket:
        """The handshake on a connected socket, within its time-out; the socket is closed when it fails.

        Raises OSError; ssl.SSLCertVerificationError for a broker that is not accepted.
        """
        try:
            wrapped = self.context.wrap_socket(plain, server_hostname=self.server_name)
        except (OSError, ValueError):
            plain.close()
            raise
        if self.judged_at is not None:
            try:
                shown = wrapped.getpeercert(binary_form=True) or b""
                _check_life(certificates.validity_of(shown), self.judged_at, "the broker's certificate")
            except (OSError, ValueError):
                wrapped.close()
                raise
        return wrapped


def trust(spec: UplinkSpec, clock: Clock) -> Trust:
    """From the files of `spec`. Verified on both sides or not at all; raises `LinkError` (refused) when a file does not allow it."""
    try:
        if keys.is_open(Path(spec.key)):
            raise LinkError(f"private key {spec.key} can be read by others: chmod 600 it", refused=True)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.hostname_checks_common_name = False
        judged_at = clock.wall() if clock.behind() else None
        if judged_at is not None:
            made.verify_flags |= NO_CHECK_TIME
            _check_life(certificates.validity(Path(spec.ca)), judged_at, "the authority's certificate")
        made.load_verify_locations(cafile=spec.ca)
        # An empty password: an encrypted key is an error, not a prompt on the console.
        made.load_cert_chain(spec.certificate, spec.key, password="")
    except ssl.SSLError as error:
        raise LinkError(f"certificate, key or authority cannot be used: {words(error)}", refused=True) from error
    except ValueError as error:
        raise LinkError(f"{spec.ca} {error}", refused=True) from error
    except OSError as error:
        which = error.filename or "certificate, key or authority"  # OpenSSL does not say which
        raise LinkError(f"{which}: {error.strerror}", refused=True) from error
    return Trust(made, spec.server_name or spec.host, judged_at)


def _check_life(life: certificates.Validity, floor: float, whose: str) -> None:
    """At a time of which only the earliest is known."""
    if life.ends < floor:
        error = ssl.SSLCertVerificationError(f"{whose} is not valid now")
        error.verify_message = f"{whose} is not valid at the earliest time that it can be"
        raise error


def words(error: Exception | None) -> str:
    """OpenSSL's reason without file names and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}"
    return str(getattr(error, "reason", None) or error)
