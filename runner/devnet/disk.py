"""A node's memory on disk: one file that only grows, a JSON list a line. What was half written when the node
was killed is cut off.

Written without fsync: it must outlive the process, not the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class Disk:
    """The file ``chain.log`` in the node's data folder. Raises ``OSError`` where that cannot be written."""

    def __init__(self, folder: str) -> None:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path / "chain.log", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def read(self) -> list[list[Any]]:
        """All whole records, in the order written."""
        size = os.fstat(self._fd).st_size
        data = os.pread(self._fd, size, 0)
        whole = data.rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._fd, whole)
        records: list[list[Any]] = []
        for line in data[:whole].splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, list) and record:
                records.append(record)
        return records

    def append(self, records: Iterable[Sequence[Any]]) -> None:
        """Writes records in one call."""
        data = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()
        if data:
            os.write(self._fd, data)
