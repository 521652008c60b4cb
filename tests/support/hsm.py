"""A token in software (SoftHSM) that speaks PKCS#11 as a TPM or an HSM does, in a folder of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from foreign import missing, program

PIN = "739154"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


class Token(NamedTuple):
    """A token with keys in it."""

    module: str
    label: str
    pin_file: Path

    def uri(self, key: str) -> str:
        """The PKCS#11 URI of a key."""
        return f"pkcs11:token={self.label};object={key}?module-path={self.module}&pin-source={self.pin_file}"


def module_path() -> str:
    """Where SoftHSM's module is."""
    found = next((path for path in MODULES if Path(path).exists()), None)
    if found is None:
        missing("softhsm2")
    return found


def token(folder: Path, label: str, *others: str) -> Token:
    """Make a token with three keys, `p-256`, `p-384` and `rsa`, and others without any."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    module = module_path()
    for each in (label, *others):
        make = [program("softhsm2-util"), "--init-token", "--free", "--label", each]
        subprocess.run([*make, "--so-pin", "9999", "--pin", PIN], check=True, capture_output=True)
    pin_file = folder / "pin"
    pin_file.write_text(PIN + "\n")
    pin_file.chmod(0o600)
    with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=PIN) as session:
        for name, curve in (("p-256", "secp256r1"), ("p-384", "secp384r1")):
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
                local=True,
            )
            parameters.generate_keypair(store=True, label=name)
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="rsa")
    return Token(module, label, pin_file)


def configuration(folder: Path) -> Path:
    """Give SoftHSM a folder of its own. It reads where that is once a process, from the environment."""
    (folder / "tokens").mkdir()
    path = folder / "softhsm2.conf"
    path.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    return path
