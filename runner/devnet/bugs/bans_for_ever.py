"""A peer whose connection broke is taken for hostile, and shut out for good."""

from runner.devnet.bugs import bug
from runner.devnet.core import Core
from runner.devnet.events import Now
from runner.devnet.frames import Hello
from runner.devnet.peering import Link


@bug(
    name="bans-for-ever",
    about="A peer that was silent twice is banned, and no ban ever ends.",
    caught_by="scenarios/devnet/flapping.yaml",
    expectation="after faults: degree_recovers",
    reason_has="connections, ",
)
class BansForEver(Core):
    """Counts silences and forgives none."""

    def drop(self, link: Link, now: Now, *, why: str = "", quiet: bool = False) -> None:
        """A silence is counted as an offence."""
        if link.up and why.startswith("silent"):
            offences = self.__dict__.setdefault("_offences", {})
            offences[link.name] = offences.get(link.name, 0) + 1
        super().drop(link, now, why=why, quiet=quiet)

    def _banned(self, name: str) -> bool:
        return bool(self.__dict__.get("_offences", {}).get(name, 0) >= 2)

    def missing(self, now: Now) -> list[str]:
        """The banned are not missed."""
        return [name for name in super().missing(now) if not self._banned(name)]

    def on_hello(self, link: Link, hello: Hello, now: Now) -> bool:
        """The banned are turned away."""
        if self._banned(hello.name):
            return self.refuse(link, hello.name, "it is banned", now)
        return super().on_hello(link, hello, now)
