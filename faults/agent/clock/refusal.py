"""Why a process or a machine cannot be given a wrong clock; the text is for people."""

from __future__ import annotations


class Refusal(Exception):
    """The target is not touched, or not touched further; ``str()`` says why and what would help."""


class Gone(Exception):
    """The process, or the address space that was meant, is no more. Never an error for people."""
