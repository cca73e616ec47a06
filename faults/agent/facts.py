"""What this machine offers, as plain facts for ``hello`` and ``seatrial doctor``."""

from __future__ import annotations

import os
import platform
from typing import Any


def capabilities(*, keeper: bool, eye: bool, cuts: bool) -> dict[str, Any]:
    """Name → yes or no (or a text), for the agent's own host and rights."""
    return {
        "nft": cuts,
        "vdso": keeper and platform.machine() == "x86_64",
        "eye": eye,
        "ptrace": _first("/proc/sys/kernel/yama/ptrace_scope", "0") != "3",
        "user_namespaces": _first("/proc/sys/user/max_user_namespaces", "0") != "0",
        "cgroup": os.access("/sys/fs/cgroup/cgroup.procs", os.W_OK),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def _first(path: str, default: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return default
