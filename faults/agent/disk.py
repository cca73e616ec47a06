"""A node's data folder: emptied when a fault says so. Nothing outside it is ever touched."""

from __future__ import annotations

import os


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
