"""The way in: ``[sys.executable, "-E", "-s", ".../faults/agent/__main__.py"]``, with pipes for both ways.

Started by its path it needs neither an installation nor anything of the environment, so that every
interpreter of a host will do; ``-I -S`` starts a few milliseconds sooner. The exit code is 69 where the
machine forbids namespaces (one line on standard error says what to do), 70 after an error of our own, 0 after
``bye`` or the end of the input.
"""

from __future__ import annotations

import os
import sys


def _own_place() -> None:
    """Let ``faults`` be found, and nothing of this folder by a bare name."""
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    root = os.path.dirname(os.path.dirname(here))
    # After the standard library, and before what is installed: that may hold a ``faults`` of another version.
    installed = [i for i, p in enumerate(sys.path) if p.endswith(("site-packages", "dist-packages"))]
    sys.path.insert(min(installed, default=len(sys.path)), root)


def main() -> None:
    """Boot, and serve until the end of the input."""
    _own_place()
    from faults.agent.boot import boot
    from faults.agent.serve import serve

    boot(serve)


if __name__ == "__main__":
    main()
