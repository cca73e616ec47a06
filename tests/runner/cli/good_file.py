"""A scenario without a mistake, and where the repository is."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GOOD = """\
seatrial: 1
name: pair
about: Two nodes are parted.
network: {driver: local, nodes: {count: 4, use: devnet}}
timeline:
  - {at: 2s, for: 4s, partition: halves, name: split}
expect:
  - {after: split, within: 5s, that: connected}
"""
