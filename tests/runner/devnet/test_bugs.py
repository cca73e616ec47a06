"""The known bugs: each misbehaves in the simulation where a right network does not.

Files of strangers are read with care.
"""

from __future__ import annotations

import random

import pytest

from runner.devnet.bugs import as_json, build, catalogue
from runner.devnet.config import BadConfig, Config
from runner.devnet.core import Core
from runner.devnet.sim import Simulation

# A bug of one's own looks like this.
MINE = """
from runner.devnet.bugs import bug
from runner.devnet.core import Core

@bug(name="mine", about="It never acks.", caught_by="mine.yaml", expectation="connected", reason_has="x")
class Mine(Core):
    def ack(self, phase):
        pass
"""


def cut(simulation: Simulation, *sides: list[str], seconds: float = 8.0) -> None:
    simulation.partition(*sides)
    simulation.run(simulation.t + seconds)
    simulation.heal()


def halves(s: Simulation) -> None:
    cut(s, s.names[:4], s.names[4:])


def thirds(s: Simulation) -> None:
    cut(s, s.names[:3], s.names[3:6], s.names[6:])


def alone(s: Simulation) -> None:
    cut(s, s.names[:1], s.names[1:])


def restart(names: slice):
    def fault(s: Simulation) -> None:
        s.run(8.0)
        s.kill(*s.names[names])
        s.run(12.0)
        s.start(*s.names[names])

    return fault


def clocks(s: Simulation) -> None:
    for offset in (30.0, 0.0):
        for name in ("v3", "v4"):
            s.clock(name, offset)
        s.run(s.t + 8.0)


def pause(s: Simulation) -> None:
    s.pause("v1", "v2", "v3")
    s.run(s.t + 10.0)
    s.resume("v1", "v2", "v3")


def boot_gone(s: Simulation) -> None:
    s.kill("v1")
    s.run(s.t + 4.0)


def facts(s: Simulation) -> list[dict]:
    return [s.facts_or_nothing(name) for name in s.names if s.machines[name].core is not None]


def parted(s: Simulation) -> bool:
    near: dict[str, set[str]] = {name: {name} for name in s.names if s.machines[name].core is not None}
    for edge in s.edges():
        a, b = edge
        together = near[a] | near[b]
        for name in together:
            near[name] = together
    return any(len(seen) < len(near) for seen in near.values())


def degrees_fell(s: Simulation) -> bool:
    return len(s.edges()) < 36


def heads_differ(s: Simulation) -> bool:
    heights = [one["height"] for one in facts(s)]
    heads = {tuple(one["recent"][0]) for one in facts(s)}
    return max(heights) - min(heights) > 3 or len(heads) > 2 or finality_stands(s)


def finality_stands(s: Simulation) -> bool:
    before = max(one["finalized"][0] for one in facts(s))
    s.run(s.t + 3.0)
    return min(one["finalized"][0] for one in facts(s)) <= before


def states_differ(s: Simulation) -> bool:
    """At one height; asked of the ledgers, since the simulation stops them at different heights."""
    said: dict[int, set[str]] = {}
    for one in facts(s):
        said.setdefault(one["finalized"][0], set()).add(one["state"])
    return any(len(states) > 1 for states in said.values())


def logged_future(s: Simulation) -> bool:
    return any("accepted block from the future" in text for m in s.machines.values() for _, text in m.log)


def silent(s: Simulation) -> bool:
    return not all(facts(s))


def crashed(s: Simulation) -> bool:
    return any(m.crashed for m in s.machines.values())


def conflict(s: Simulation) -> bool:
    return bool(s.conflicts)


def went_back(s: Simulation) -> bool:
    return bool(s.backs)


SHOWN = {
    "accepts-the-future": (clocks, logged_future),
    "backs-off-too-far": (halves, parted),
    "bans-for-ever": (alone, degrees_fell),
    "corrupts-its-state": (restart(slice(0, 2)), states_differ),
    "counts-only-the-present": (thirds, conflict),
    "crashes-on-clock-jump": (clocks, crashed),
    "finality-goes-back": (restart(slice(0, 2)), went_back),
    "finalizes-without-quorum": (halves, conflict),
    "forgets-peers": (halves, parted),
    "forks-for-ever": (halves, heads_differ),
    "hangs-after-heal": (halves, silent),
    "keeps-skewed-clock": (clocks, degrees_fell),
    "loses-its-disk": (restart(slice(0, 9)), went_back),
    "never-syncs": (alone, heads_differ),
    "stalls-when-paused": (pause, finality_stands),
    "trusts-the-boot-node": (boot_gone, parted),
}


def trial(bugs: list[str], fault) -> Simulation:
    only_boot = fault is boot_gone
    peers = (lambda name: [] if name == "v1" else ["v1"]) if only_boot else None
    s = Simulation(9, bugs=bugs, peers=peers)
    s.start()
    s.run(4.0)
    assert not s.conflicts
    assert min(s.facts(name)["finalized"][0] for name in s.names) >= 2, (
        "a bug must not show before a fault does"
    )
    fault(s)
    s.run(s.t + 6.0)
    return s


def test_every_shipped_bug_is_shown():
    assert set(catalogue()) == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_it_misbehaves(name):
    fault, shows = SHOWN[name]
    assert shows(trial([name], fault))


@pytest.mark.parametrize("fault", dict.fromkeys(fault for fault, _ in SHOWN.values()))
def test_a_right_network_does_not(fault):
    s = trial([], fault)
    for other, shows in SHOWN.values():
        if other is fault:
            assert not shows(s)


def test_the_list_for_machines():
    listed = as_json()["bugs"]
    assert len(listed) >= 10
    for one in listed:
        assert set(one) == {"name", "about", "caught_by", "expectation", "reason_has"}
        assert all(one.values())
        assert one["caught_by"].startswith("scenarios/devnet/")
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)


def config(bugs, path=None) -> Config:
    return Config("v1", "", {}, {"v1": 1.0}, 0.0, 1.0, "", bugs=tuple(bugs), bugs_path=path)


def test_bugs_are_laid_over_the_core():
    assert build(config([])) is Core
    both = build(config(["never-syncs", "forgets-peers"]))
    assert both.catch_up is catalogue()["never-syncs"].core.catch_up
    assert both.missing is catalogue()["forgets-peers"].core.missing


def test_an_unknown_bug_is_refused_with_the_known_ones():
    with pytest.raises(BadConfig, match="there is no bug 'no-such'; known are accepts-the-future, "):
        build(config(["no-such"]))


def test_a_folder_adds_bugs_and_may_be_read_again(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    for _ in range(2):
        assert "mine" in catalogue(str(tmp_path))
    assert "mine" not in catalogue()
    assert build(config(["mine"], str(tmp_path))).__name__ == "Mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "it declares no bug"),
        ("raise SystemExit(3)", "SystemExit"),
        (MINE.replace('"mine"', '"never-syncs"'), "two bugs are called 'never-syncs'"),
        (MINE.replace("about=", "abot="), "TypeError"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, text, says):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(BadConfig) as raised:
        catalogue(str(tmp_path))
    assert says in str(raised.value)
    assert "mine.py" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_folder(tmp_path):
    with pytest.raises(BadConfig, match="there is no folder"):
        catalogue(str(tmp_path / "none"))


@pytest.mark.parametrize("seed", [10, 23, 26])
def test_nodes_with_a_small_quorum_do_not_starve_those_that_wait_for_a_whole_one(seed):
    rng = random.Random(seed)
    s = Simulation(9, bugs=["finalizes-without-quorum"], seed=seed)
    s.delay_s = (0.001, 0.1)
    s.start()
    # Some do not get the processor while the others see their first block become final.
    late = rng.sample(s.names, 3)
    s.run(rng.uniform(1.3, 2.6))
    s.pause(*late)
    s.run(s.t + rng.uniform(0.2, 0.9))
    s.resume(*late)
    s.run(9.0)
    assert all(s.facts(name)["finalized"][0] > 0 for name in s.names)
