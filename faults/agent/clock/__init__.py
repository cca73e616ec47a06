"""Wrong clocks for running, unmodified processes, through their vDSO; taken back byte for byte.

``Keeper`` is the whole interface, ``available()`` says whether this machine can. Standard library only;
imports nothing else of this project. x86-64 Linux. Not covered: 32-bit programs, raw system calls,
absolute waits in the kernel, file times.
"""

from .client import Keeper
from .line import Line
from .refusal import Refusal
from .target import available

__all__ = ["Keeper", "Line", "Refusal", "available"]
