"""What the tests of the scenario language share: short texts to load, marks for where a problem must be."""

from __future__ import annotations

import re

NETWORK = "network: {driver: local, nodes: {count: 5, use: devnet}}\n"


def scenario(*, step: str = "", expect: str = "", network: str = NETWORK, more: str = "") -> str:
    """A small scenario around one line of its timeline or its expectations."""
    text = "seatrial: 1\n" + network + more
    if step:
        text += "timeline:\n" + "".join(f"  - {line}\n" for line in step.split("\n"))
    if expect:
        text += "expect:\n" + "".join(f"  - {line}\n" for line in expect.split("\n"))
    return text


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its ``«`` marks, and the line and column of what each stood before."""
    places = []
    plain = ""
    for part in re.split("(«)", text):
        if part == "«":
            lines = plain.split("\n")
            places.append((len(lines), len(lines[-1]) + 1))
        else:
            plain += part
    return plain, places
