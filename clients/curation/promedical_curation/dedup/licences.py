"""Which of two licences leaves more freedom: of equal questions, the freer one is kept."""

from typing import Final

_PUBLIC: Final = ("CC0", "PDDL", "UNLICENSE", "0BSD", "CC-PDDC")
_PERMISSIVE: Final = ("MIT", "APACHE", "BSD", "ISC", "ZLIB", "CC-BY-4", "CC-BY-3", "CC-BY-2", "CC-BY-1", "ODC-BY")
_SHARE_ALIKE: Final = ("CC-BY-SA", "ODBL", "GPL", "LGPL", "AGPL", "MPL", "EPL")


def freedom(licence: str) -> int:
    """0 for the public domain, then 1 permissive, 2 share-alike, 3 without commercial use or changes, 4 unknown."""
    name = licence.upper()
    if "-NC" in name or "-ND" in name:
        return 3
    for rank, beginnings in enumerate((_PUBLIC, _PERMISSIVE, _SHARE_ALIKE)):
        if name.startswith(beginnings):
            return rank
    return 4
