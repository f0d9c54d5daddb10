"""Signatures of deltas, by OpenSSF Model Signing's own library and its command line."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing


@dataclass(frozen=True)
class Pair:
    """The files of a private key and its public one."""

    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path, name: str = "key") -> "Pair":
        """Write a new pair."""
        pair = cls(folder / f"{name}.pem", folder / f"{name}.pub")
        key = ec.generate_private_key(ec.SECP256R1())
        encoding = serialization.Encoding.PEM
        pair.private.write_bytes(
            key.private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pair.public.write_bytes(key.public_key().public_bytes(encoding, form))
        return pair

    def sign(self, directory: Path, algorithm: str = "sha256") -> Path:
        """Sign what is in a directory, in it; return that."""
        ignored = hashing.Config().set_ignored_paths(paths=[directory / "model.sig"])
        config = signing.Config().use_elliptic_key_signer(private_key=self.private)
        config.set_hashing_config(ignored.use_file_serialization(hashing_algorithm=algorithm))
        config.sign(directory, directory / "model.sig")
        return directory

    def command(self, directory: Path) -> list[str]:
        """What to type to have it signed."""
        program = Path(sys.executable).with_name("model_signing")
        signature = directory / "model.sig"
        return [
            str(program), "sign", "key", str(directory),
            "--private_key", str(self.private), "--signature", str(signature),
        ]  # fmt: skip

    def sign_by_command(self, directory: Path) -> Path:
        """Do what `sign` does in a process of its own."""
        subprocess.run(self.command(directory), check=True, capture_output=True)
        return directory
