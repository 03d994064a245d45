"""The life of a certificate, against certificates that the `cryptography` library made and read."""

import contextlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway import pki
from gateway.certificates import Ending, validity
from gateway.model import UplinkSpec
from tests.clocks import HandClock


def made(begins, ends):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "网关")])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(begins).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    return built.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "ends", ["2027-01-02T03:04:05", "2049-12-31T23:59:59", "2050-01-01T00:00:00", "9999-12-31T23:59:59"]
)
def test_the_dates_are_those_of_the_library(tmp_path, ends):
    """Both ways to write a time: the year has four digits from 2050 on."""
    begins, until = datetime(2026, 11, 22, 1, 2, 3), datetime.fromisoformat(ends)
    path = tmp_path / "one.pem"
    path.write_bytes(made(begins, until))
    assert validity(path) == (begins.replace(tzinfo=UTC).timestamp(), until.replace(tzinfo=UTC).timestamp())


def test_the_certificates_of_the_test_authority_can_be_read(tmp_path):
    pki.init(tmp_path / "pki")
    for name in ("ca", "broker", "district", "gateway"):
        life = validity(tmp_path / "pki" / f"{name}.pem")
        parsed = x509.load_pem_x509_certificate((tmp_path / "pki" / f"{name}.pem").read_bytes())
        assert life.ends == parsed.not_valid_after_utc.timestamp()
        assert timedelta(seconds=life.ends - life.begins) > timedelta(days=300)


def inline(job):
    job()


class Clock(HandClock):
    sure = True

    def trusted(self):
        return self.sure


@pytest.fixture
def uplink(tmp_path):
    """Two files: an authority that lives long, a certificate that ends on 2026-12-31."""
    (tmp_path / "ca.pem").write_bytes(made(datetime(2026, 1, 1), datetime(2040, 1, 1)))
    (tmp_path / "gateway.pem").write_bytes(made(datetime(2026, 1, 1), datetime(2026, 12, 31)))
    return UplinkSpec("district", "x", 8883, str(tmp_path / "ca.pem"), str(tmp_path / "gateway.pem"), "key")


def at(day):
    clock = Clock()
    clock.wall = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp
    return clock


@pytest.mark.parametrize(("day", "soon"), [("2026-11-22", False), ("2026-12-02", True), ("2027-05-05", True)])
def test_a_certificate_that_ends_within_thirty_days_is_a_concern(uplink, day, soon):
    assert Ending([uplink], at(day), inline).soon() is soon


def test_a_clock_that_is_not_synchronised_says_nothing_about_certificates(uplink):
    clock = at("2030-01-01")
    clock.sure = False
    assert not Ending([uplink], clock, inline).soon()


def test_a_renewed_certificate_is_seen_within_the_hour(uplink, tmp_path):
    clock = at("2026-12-20")
    ending = Ending([uplink], clock, inline)
    assert ending.soon()
    (tmp_path / "gateway.pem").write_bytes(made(datetime(2026, 1, 1), datetime(2028, 1, 1)))
    clock.at += 3601
    assert not ending.soon()


def test_a_file_that_cannot_be_read_is_another_faults_matter(uplink, tmp_path):
    (tmp_path / "gateway.pem").unlink()
    assert not Ending([uplink], at("2030-01-01"), inline).soon()


@pytest.mark.parametrize("text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
                                  b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])  # fmt: skip
def test_what_is_no_certificate_is_an_error_in_words(tmp_path, text):
    path = tmp_path / "one.pem"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="holds"):
        validity(path)


def test_damage_is_an_error_and_nothing_else(tmp_path):
    """A file from a person's stick: whatever is wrong with it, the answer is a ValueError or dates."""
    whole = made(datetime(2026, 1, 1), datetime(2027, 1, 1))
    dice = random.Random(7)
    path = tmp_path / "one.pem"
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path.write_bytes(damaged[: dice.choice((len(damaged), dice.randrange(len(damaged))))])
        with contextlib.suppress(ValueError):
            assert validity(path).ends
