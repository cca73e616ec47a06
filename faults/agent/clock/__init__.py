"""Wrong clocks for running, unmodified processes, through their vDSO; taken back byte for byte.

``Keeper`` is the whole interface, ``available()`` says whether this machine can. Standard library only,
and nothing else of this project. x86-64 Linux; clocks bent: CLOCK_REALTIME, its coarse form, CLOCK_TAI,
``gettimeofday``, ``time``.

Limits. The true clock remains for 32-bit programs, for system calls made by hand (reported only where no
file of the program names the vDSO's function), for absolute waits inside the kernel and for file times.
While it is followed a process cannot be debugged, cannot itself debug its children, and gains no rights
from set-user-id programs unless the keeper has CAP_SYS_PTRACE. Every signal and fork it gets costs it a
visit to the keeper, some 0.1 ms.
"""

from .client import Keeper
from .line import Line
from .refusal import Refusal
from .target import available

__all__ = ["Keeper", "Line", "Refusal", "available"]
