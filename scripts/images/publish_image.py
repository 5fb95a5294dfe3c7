"""`make publish-image`: pushes an image, writes its attestations for the digest that it has there, and signs them.

A registry keeps layers compressed, so an image has another digest there than here; what is signed names the one there.
Signing is done by cosign, with a key (`--key cosign.key`) or, without, by whoever logs in with an identity. Where
cosign is not installed, nothing is signed, and the last line says so.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.images.attest import folder_of

REGISTRY: Final = "docker://"


def main() -> int:
    """Push, write and sign; a command's error ends the script."""
    options = _options()
    digest = push(options.image, options.to)
    folder = folder_of(options.image)
    name = options.to.removeprefix(REGISTRY)
    published = folder / "published"
    restate(folder, published, name, digest)
    print(f"{name} is {digest}")
    if not options.to.startswith(REGISTRY):
        print(f"SKIPPED signing: {options.to} is no registry, and cosign keeps signatures in one")
    elif shutil.which("cosign") is None:
        print("SKIPPED signing: cosign is not installed")
    else:
        for command in signing(f"{repository(name)}@{digest}", published, options.key):
            subprocess.run(command, check=True)
    return 0


def push(image: str, to: str) -> str:
    """The digest of the image where it was pushed to."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "digest"
        subprocess.run(["buildah", "push", "--quiet", "--digestfile", str(file), image, to], check=True)
        return file.read_text(encoding="utf-8").strip()


def restate(folder: Path, out: Path, name: str, digest: str) -> None:
    """Write both files about the image as it was pushed, and the predicate alone too, which cosign wants."""
    kind, _, value = digest.partition(":")
    statement = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    statement["subject"] = [{"name": name, "digest": {kind: value}}]
    listed = json.loads((folder / "sbom.json").read_text(encoding="utf-8"))
    listed["metadata"]["component"] |= {"name": name, "version": digest}
    contents = {"provenance": statement, "provenance-predicate": statement["predicate"], "sbom": listed}
    out.mkdir(exist_ok=True)
    for stem, content in contents.items():
        (out / f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def signing(reference: str, folder: Path, key: str | None) -> list[Sequence[str]]:
    """The commands of cosign: the image, how it was built, and what it holds."""
    by = ["--yes", *(["--key", key] if key else [])]
    attested = {"slsaprovenance1": folder / "provenance-predicate.json", "cyclonedx": folder / "sbom.json"}
    attest = [
        ["cosign", "attest", *by, "--type", kind, "--predicate", str(file), reference]
        for kind, file in attested.items()
    ]
    return [["cosign", "sign", *by, reference], *attest]


def repository(name: str) -> str:
    """An image's name without its tag; a colon before the last slash is that of a port."""
    path, slash, last = name.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", required=True, help="image that `make image` has built here")
    parser.add_argument("--to", required=True, help="where to: docker://registry/name:tag, or oci:folder:tag")
    parser.add_argument("--key", help="key of cosign; without one it asks for an identity")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
