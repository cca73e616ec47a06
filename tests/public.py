"""The project and its packages where every user can read them: as they are, or copies for the tests."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NOT_NEEDED = ("__pycache__", "mypy*", "ruff*", "hypothesis*", "pip*", "setuptools*", "pyroute2*")


def readable(path: Path) -> bool:
    """Whether user nobody can read it (only root can ask; others answer for themselves)."""
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534); " if os.geteuid() == 0 else ""
    script = f"import os, sys; {become}sys.exit(not os.access(sys.argv[1], os.R_OK))"
    return subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 0


@functools.cache
def checkout() -> Path:
    """A folder with ``runner``, ``faults`` and ``scenarios`` that every user can read."""
    if readable(ROOT / "faults" / "agent" / "__main__.py"):
        return ROOT
    copy = _folder()
    for part in ("runner", "faults", "scenarios"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    return _opened(copy)


@functools.cache
def packages() -> Path:
    """A folder with the installed packages that every user can read."""
    here = Path(sysconfig.get_path("purelib"))
    if readable(here / "typer" / "__init__.py"):
        return here
    copy = _folder() / "packages"
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns(*_NOT_NEEDED))
    return _opened(copy)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="seatrial-public-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _opened(folder: Path) -> Path:
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    return folder
