"""Signatures: deltas are held to be just what the holder of a key has signed.

A signature is one of OpenSSF Model Signing (https://github.com/ossf/model-signing-spec): a bundle
of Sigstore's, in it a DSSE envelope, in that an in-toto statement with the digest of each file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deltas.formats import files_among
from deltas.formats.dialect import SIGNATURE
from server.errors import InvalidSettings, UnsignedDelta
from server.registry.staging import sha256_of

if TYPE_CHECKING:
    from model_signing._signing.sign_ec_key import Verifier

_MAX_BYTES = 1 << 20
_ALGORITHM = "sha256"

_HOW = (
    f"Sign its directory and put it again: model_signing sign key DIRECTORY --private_key KEY "
    f"--signature DIRECTORY/{SIGNATURE}."
)


class Signatures:
    """What one public key says of deltas; thread-safe.

    Raises InvalidSettings unless `key` is a file of such a key (PEM; NIST's curves P-256, P-384 and
    P-521), or where the library is not installed.
    """

    def __init__(self, key: Path) -> None:
        self._verifier = _verifier(key)

    def check(self, directory: Path) -> None:
        """Raise UnsignedDelta unless a delta's files are all that was signed, and as it was.

        The directory holds the delta's files and no others. What was signed and is no file of a
        delta may be gone.
        """
        signed = self._signed(directory / SIGNATURE)
        there = {path.name for path in directory.iterdir()} - {SIGNATURE}
        meant = files_among(signed) - {SIGNATURE}
        for name in sorted(there - meant):
            raise UnsignedDelta(f"{name} is not among the files that {SIGNATURE} signs. {_HOW}")
        for name in sorted(meant - there):
            raise UnsignedDelta(
                f"{name} was signed and is not there. Put all of the delta's files."
            )
        for name in sorted(there):
            if signed[name] != sha256_of(directory / name):
                raise UnsignedDelta(f"{name} is not what was signed. {_HOW}")

    def _signed(self, signature: Path) -> Mapping[str, str]:
        """The names of the files that a signature is for, and their digests."""
        # The library's own `verifying.Config` wants all files that were signed, of which a delta's
        # are some; so its parts are used.
        from model_signing._signing.sign_sigstore_pb import Signature

        if not signature.is_file():
            raise UnsignedDelta(f"This server takes signed deltas alone. {_HOW}")
        if signature.stat().st_size > _MAX_BYTES:
            raise UnsignedDelta(f"{SIGNATURE} is larger than {_MAX_BYTES} bytes.")
        try:
            manifest = self._verifier.verify(Signature.read(signature))
            found = {each.identifier: each.digest for each in manifest.resource_descriptors()}
        except Exception as error:
            # Whatever an unsound bundle leads the library into.
            raise UnsignedDelta(
                f"{SIGNATURE} is no sound signature by the key that this server demands "
                f"(--require-signature). {_HOW}"
            ) from error
        if any(digest.algorithm != _ALGORITHM for digest in found.values()):
            raise UnsignedDelta(f"{SIGNATURE} has other digests than {_ALGORITHM}'s. {_HOW}")
        return {name: digest.digest_hex for name, digest in found.items()}


def _verifier(key: Path) -> "Verifier":
    try:
        # Only who demands signatures needs its library.
        from model_signing._signing.sign_ec_key import Verifier
    except ImportError as error:
        raise InvalidSettings(
            "Signatures are read by a library of their own: pip install 'polydelta[signatures]'."
        ) from error
    try:
        return Verifier(key)
    except Exception as error:
        raise InvalidSettings(
            f"{key} is no public key of P-256, P-384 or P-521 in PEM (--require-signature). Make a "
            "pair: openssl ecparam -genkey -name prime256v1 -noout -out key.pem; openssl ec -in "
            "key.pem -pubout -out key.pub."
        ) from error
