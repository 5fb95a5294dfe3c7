"""`make base-image`: asks the registry for the newest digest of the Dockerfile's base, and writes it there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

DOCKERFILE: Final = Path(__file__).resolve().parents[2] / "Dockerfile"
PINNED: Final = re.compile(r"^ARG BASE=(?P<name>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})$", re.MULTILINE)


def main() -> int:
    """Renew the digest; an error of skopeo ends the script."""
    if shutil.which("skopeo") is None:
        raise SystemExit(
            "skopeo is not installed; install your system's package, for example with apt-get install skopeo"
        )
    text = DOCKERFILE.read_text(encoding="utf-8")
    name = pinned(text)["name"]
    command = ["skopeo", "inspect", "--format", "{{.Digest}}", f"docker://{name}"]
    digest = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    DOCKERFILE.write_text(renewed(text, digest), encoding="utf-8")
    print(f"the base is {name}@{digest}: build the images, run make test-image, and commit the Dockerfile")
    return 0


def pinned(text: str) -> re.Match[str]:
    """The base of a Dockerfile, by name and digest.

    Raises:
        ValueError: It names none by its digest.
    """
    found = PINNED.search(text)
    if found is None:
        raise ValueError("the Dockerfile has no line ARG BASE=name@sha256:digest")
    return found


def renewed(text: str, digest: str) -> str:
    """The Dockerfile with another digest."""
    found = pinned(text)
    start, end = found.span("digest")
    return text[:start] + digest + text[end:]


if __name__ == "__main__":
    sys.exit(main())
