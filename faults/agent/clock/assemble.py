"""Turns ``blob.S`` into the bytes that ``blob.py`` carries: ``python -m faults.agent.clock.assemble``.

For developers of the blob only; it needs binutils, which the agent does not.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
STUBS = [f"stub_{name}" for name in ("clock_gettime", "gettimeofday", "time")]
NAMES = ["index", "saved", "ring", "code", *STUBS, *(s.replace("stub", "original") for s in STUBS), "end"]


def assemble(source: Path = HERE / "blob.S") -> tuple[bytes, dict[str, int]]:
    """The flat bytes of the source and the offsets of its symbols.

    Raises FileNotFoundError naming the program where one of ``as``, ``ld``, ``objcopy``, ``nm`` is missing.
    """
    for tool in ("as", "ld", "objcopy", "nm"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(f"{tool} is missing: install binutils")
    with tempfile.TemporaryDirectory() as folder:
        obj, elf, flat = (f"{folder}/{name}" for name in ("blob.o", "blob.elf", "blob.bin"))
        for argv in (
            ["as", "--64", "-o", obj, str(source)],
            ["ld", "-Ttext=0", "-e", "0", "-o", elf, obj],
            ["objcopy", "-O", "binary", "-j", ".text", elf, flat],
        ):
            subprocess.run(argv, check=True)
        table = subprocess.run(["nm", elf], check=True, capture_output=True, text=True).stdout
        symbols = {name: int(value, 16) for value, _, name in map(str.split, table.splitlines())}
        return Path(flat).read_bytes(), {name: symbols[name] for name in NAMES}


def module(code: bytes, symbols: dict[str, int]) -> str:
    """The text of ``blob.py``."""
    text = base64.b64encode(code).decode()
    rows = "\n".join(f'    "{text[i : i + 100]}"' for i in range(0, len(text), 100))
    table = "\n".join(f'    "{name}": {value},' for name, value in symbols.items())
    return (
        '"""The assembled ``blob.S``, by ``python -m faults.agent.clock.assemble``; not for editing."""\n\n'
        "from __future__ import annotations\n\nimport base64\n\n"
        f"CODE = base64.b64decode(\n{rows}\n)\n\nSYMBOLS = {{\n{table}\n}}\n"
    )


if __name__ == "__main__":
    (HERE / "blob.py").write_text(module(*assemble()))
