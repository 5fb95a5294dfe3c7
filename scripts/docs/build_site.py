"""`make site`: builds the documentation site in dist/site, and proves that it loads nothing from another server.

The pages are docs/ and a few files from elsewhere in the repository. They are collected in dist/pages with links that
work there; then `mkdocs build --strict` does the rest.
"""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ROOT / "dist" / "pages"
SITE: Final = ROOT / "dist" / "site"
ELSEWHERE: Final = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "helm/promedical/README.md": "chart.md",
    "service/promedical_model/default/README.md": "model-card/index.md",
    "service/promedical_model/default/accuracy.png": "model-card/accuracy.png",
    "service/promedical_model/default/reliability.png": "model-card/reliability.png",
}
"""Files from outside docs/, and their places among the pages."""
LINK: Final = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)(?P<path>[^)#\s]+)")
LOADED: Final = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*?\ssrc="(?:https?:)?//[^"]*|'
    r'<link\b(?![^>]*rel="?canonical)[^>]*?\shref="(?:https?:)?//[^"]*|url\((?:https?:)?//[^)]*'
)


def main() -> int:
    """Collect the pages, build the site and check it; return the exit code."""
    gather()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    if subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False).returncode:
        return 1
    if loaded := loaded_from_elsewhere():
        print("\n".join(f"{path} loads {what}" for path, what in loaded.items()))
        return 1
    print(f"{SITE.relative_to(ROOT)} has {len(list(SITE.rglob('*.html')))} pages and loads nothing from another server")
    return 0


def gather() -> None:
    """Collect the pages in dist/pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    places = {f"docs/{path.relative_to(PAGES).as_posix()}": path for path in sorted(PAGES.rglob("*"))}
    for source, name in ELSEWHERE.items():
        places[source] = PAGES / name
        places[source].parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / source, places[source])
    for source, path in places.items():
        if path.suffix == ".md":
            path.write_text(with_moved_links(path.read_text(encoding="utf-8"), source, places), encoding="utf-8")


def with_moved_links(text: str, source: str, places: Mapping[str, Path]) -> str:
    """A page whose links lead to the new places of the files."""

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        return os.path.relpath(places[target], places[source].parent) if target in places else link["path"]

    return LINK.sub(moved, text)


def loaded_from_elsewhere() -> dict[str, str]:
    """Everything that the pages and styles of the site would load from other servers."""
    texts = {path: path.read_text(encoding="utf-8") for path in SITE.rglob("*") if path.suffix in {".html", ".css"}}
    found = {path.relative_to(SITE).as_posix(): LOADED.search(text) for path, text in texts.items()}
    return {path: match[0] for path, match in found.items() if match}


if __name__ == "__main__":
    sys.exit(main())
