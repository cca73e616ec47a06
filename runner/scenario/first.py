"""The scenario that ``seatrial init`` writes: a first one to change, with a comment at every line that asks
for one.
"""

from __future__ import annotations

_TEXT = """\
# A scenario: a network, what goes wrong with it and when, and what must hold.
# 'seatrial check FILE' checks it, 'seatrial plan FILE' shows what it would do, 'seatrial run FILE' runs it.
# 'seatrial explain' lists all faults and predicates; 'seatrial explain kill' says what one is and takes.
seatrial: 1                # the version of this language
name: first
about: Two halves for 15 s, then a crash of as many as the quorum allows. One chain within 15 s each time.
seed: 1                    # whom 'pick' and 'halves' choose; the same seed chooses the same nodes

network:
  driver: local            # processes on this machine, each in a network namespace of its own
  nodes: {count: 7, use: devnet}   # n1 … n7 of the built-in chain (or your own: run: [prog, …])

# Names for what is said more than once.
define:
  healthy: [connected, {agree: head}]

# One fault a line. Times count from the steady state, when all 'before' expectations have held.
timeline:
  - {at: 5s, for: 15s, partition: halves, name: split}
  - {at: split + 3s, for: 5s, clock: {of: split.a, pick: 1, offset: +30s}, name: skew}
  - {at: end of split + 20s, for: 5s, kill: {pick: f}, name: crash}

expect:
  - {before: faults, within: 30s, hold: 3s, that: healthy}
  - {during: split, that: components == 2}
  - {after: split, within: 15s, hold: 3s, that: [healthy, {progress: height}]}
  - {after: crash, within: 15s, hold: 3s, that: healthy}
  - {always: [{no_conflict: finalized}, {never_back: finalized}]}

# The run ends by itself; these are the most that it may take and hit.
limits: {time: 5m, hit: 60%}
"""


def text() -> str:
    """A commented first scenario; it loads without a problem as it stands."""
    return _TEXT
