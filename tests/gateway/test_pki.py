"""The test authority: keys that only their owner reads, certificates that TLS takes, nothing overwritten."""

import asyncio
import ssl
import stat
import subprocess
import sys
import time

import pytest

from gateway import pki
from gateway.errors import ConfigError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki") / "pki"
    pki.init(directory)
    return directory


def server_context(directory):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=directory / "ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(directory / "broker.pem", directory / "broker.key")
    return context


def client_context(directory, name):
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if name:
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return context


async def greet(directory, name, host):
    """The peer's certificate as the server saw it, over real mutual TLS on a free port."""
    seen = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        seen.set_result(writer.get_extra_info("peercert"))
        writer.write(b"ok")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context(directory)) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(directory, name), server_hostname=host
        )
        try:
            assert await reader.read() == b"ok"
        finally:
            writer.close()
        return await seen


@pytest.mark.parametrize(("name", "host"), [("gateway", "localhost"), ("district", "127.0.0.1")])
async def test_client_certificates_are_accepted_by_name_and_by_address(made, name, host):
    """Strict X.509 checks, SAN only, both ways; the common name is the identity."""
    peer = await greet(made, name, host)
    common = dict(pair[0] for pair in peer["subject"])["commonName"]
    assert common == {"gateway": "demo-01", "district": "district"}[name]


@pytest.mark.parametrize("name", ["broker", ""])
async def test_a_server_certificate_or_none_is_no_client(made, name):
    """ExtendedKeyUsage is checked: the broker's certificate cannot pose as a client; no certificate is refused."""
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        await greet(made, name, "localhost")


async def test_another_host_name_is_refused(made):
    """The broker's certificate is good for localhost only."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(made, "gateway", "example.com")


def test_keys_are_private_and_files_say_what_they_are(made):
    """0700 and 0600; the notice is in every file and in a text file in both languages."""
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for name in ("ca", "broker", "district", "gateway"):
        assert stat.S_IMODE((made / f"{name}.key").stat().st_mode) == 0o600
        assert "NOT FOR PRODUCTION" in (made / f"{name}.pem").read_text(encoding="ascii")
        assert "仅供测试" in pki.read(made, name).certificate.subject.rfc4514_string()
    notice = (made / "NOT-FOR-PRODUCTION.txt").read_text(encoding="utf-8")
    assert pki.NOTICE.zh in notice
    assert pki.NOTICE.en in notice


def test_nothing_is_overwritten_unless_asked(tmp_path):
    """Every file in the way is named; afterwards all is as before. With force there is a new authority."""
    pki.init(tmp_path)
    before = (tmp_path / "ca.pem").read_bytes()
    (tmp_path / "district.key").unlink()
    with pytest.raises(FileExistsError) as refusal:
        pki.init(tmp_path)
    assert str(refusal.value).count(str(tmp_path)) == 7
    assert (tmp_path / "ca.pem").read_bytes() == before
    assert not (tmp_path / "district.key").exists()
    assert pki.NOTICE.zh in pki.init(tmp_path, force=True)
    assert (tmp_path / "ca.pem").read_bytes() != before


@pytest.mark.parametrize("bad", ["", "a/b", "a+", "#", "a b", "district", "x" * 65])
def test_names_that_break_topics_or_pose_as_others_are_refused(tmp_path, bad):
    """A gateway's name becomes a topic level and the broker's user name."""
    with pytest.raises(ConfigError):
        pki.init(tmp_path / "new", bad)
    assert not (tmp_path / "new").exists()


def test_further_certificates_come_from_the_same_authority(made):
    """`read` and `issue` let tests add identities."""
    pair = pki.issue(pki.read(made), "observer", pki.Role.CLIENT, time.time())
    assert pair.certificate.issuer == pki.read(made).certificate.subject
    pair.certificate.verify_directly_issued_by(pki.read(made).certificate)


def test_a_foreign_key_type_is_refused_with_its_file(tmp_path):
    """A key that this authority did not make is named, not used."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pki.init(tmp_path)
    key = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca.key").write_bytes(key)
    with pytest.raises(ConfigError, match="not an EC key"):
        pki.read(tmp_path)


def test_cryptography_is_not_imported_by_importing_the_module():
    """The daemon stays 13 MiB smaller."""
    code = "import sys, gateway.pki; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
