"""Certificates for tests: an authority, and who it vouches for."""

import dataclasses
import datetime as dt
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """The files (PEM) of a certificate and its key."""

    certificate: pathlib.Path
    key: pathlib.Path


@dataclasses.dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that keeps its files in a folder."""

    folder: pathlib.Path
    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    pair: Pair

    def vouches(self, name: str, *addresses: str) -> Pair:
        """Make a certificate; with addresses it is a server's."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        building = _building(_name(name), self.name, key.public_key())
        building = building.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _write_pair(self.folder, name, building.sign(self.key, hashes.SHA256()), key)


def authority(folder: pathlib.Path, name: str = "ca") -> Authority:
    """Make an authority that nobody trusts by itself."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    building = _building(_name(name), _name(name), key.public_key())
    building = building.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Authority(folder, _name(name), key, _write_pair(folder, name, building.sign(key, hashes.SHA256()), key))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _building(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


def _write_pair(
    folder: pathlib.Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return pair
