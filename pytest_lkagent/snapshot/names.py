"""What the file of a snapshot is called.

A label may be anything: 300 characters of Chinese, ``a/b`` beside ``ab``, ``Ab`` beside ``ab`` on a
disk that cannot tell them apart. So a name is what can be read of the label, and a hash of it.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2s

__all__ = ["FOLDER", "SUFFIX", "base_of", "file_name", "stem"]

FOLDER = "__lk_snapshots__"
"""Where snapshots are, beside the file of the test; syrupy cleans up in ``__snapshots__``."""

SUFFIX = ".yaml"

_PLAIN = re.compile(r"[a-z][a-z0-9-]{0,40}(?<!-[0-9a-f]{8})")
"""A second name that needs no hash: no other name makes a file of that name."""

_BYTES = 100
"""What the readable part takes at most: with the hash, a second name and the suffix, under 255."""


def stem(label: str) -> str:
    """Return a name for `label` that no other label has, in characters that any disk takes."""
    shown = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", label)).strip("-_")
    shown = shown.encode("utf-8", "ignore")[:_BYTES].decode("utf-8", "ignore")
    digest = blake2s(label.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{shown}-{digest}".lstrip("-")


def file_name(label: str, index: int | str = 0) -> str:
    """Return the name of a test's snapshot: its first, a later one by number, or one by name."""
    if index == 0:
        return f"{stem(label)}{SUFFIX}"
    if isinstance(index, str) and not _PLAIN.fullmatch(index):
        index = stem(index)
    return f"{stem(label)}.{index}{SUFFIX}"


def base_of(name: str) -> str:
    """Return the part of a file's name that says whose snapshot it is."""
    return name.partition(".")[0]
