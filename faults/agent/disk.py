"""A node's data folder: its files put there, and emptied when a fault says so. Nothing outside it is ever
touched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def place(data: str | None, files: Mapping[str, str]) -> None:
    """Write the files (path in the folder → text) that a node finds in its data folder. Raises OSError."""
    for name, text in files.items():
        path = os.path.join(data or "", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def wipe(data: str | None) -> None:
    """Remove everything inside the folder, but not the folder.

    Links are removed, not followed. Raises OSError.
    """
    if not data or os.path.realpath(data) == "/":
        return
    for folder, folders, files in os.walk(data, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)
            else:
                os.rmdir(path)
