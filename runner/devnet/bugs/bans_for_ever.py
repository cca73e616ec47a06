"""A peer whose connection broke is taken for hostile, and shut out for good."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.config import Config
from runner.devnet.core import Core
from runner.devnet.events import Now
from runner.devnet.frames import Hello
from runner.devnet.peering import Link


@bug(
    name="bans-for-ever",
    about="A peer that was silent is banned, and no ban ever ends.",
    caught_by="scenarios/devnet/flapping.yaml",
    expectation="after faults: degree_recovers",
    reason_has="connections, ",
)
class BansForEver(Core):
    """Forgives no silence."""

    def __init__(self, config: Config, records: Iterable[Sequence[Any]] = ()) -> None:
        self._offences: Counter[str | None] = Counter()
        super().__init__(config, records)

    def drop(self, link: Link, now: Now, *, why: str = "", quiet: bool = False) -> None:
        """A silence is an offence."""
        if link.up and why.startswith("silent"):
            self._offences[link.name] += 1
        super().drop(link, now, why=why, quiet=quiet)

    def _banned(self, name: str) -> bool:
        return self._offences[name] >= 1

    def missing(self, now: Now) -> list[str]:
        """The banned are not missed."""
        return [name for name in super().missing(now) if not self._banned(name)]

    def on_hello(self, link: Link, hello: Hello, now: Now) -> bool:
        """The banned are turned away."""
        if self._banned(hello.name):
            return self.refuse(link, hello.name, "it is banned", now)
        return super().on_hello(link, hello, now)
