"""The whole network on virtual time: nothing conflicting is ever final, and all recover after a heal.

Random faults come from hypothesis; the shapes that the scenarios use are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.devnet.sim import Simulation

FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def start(count: int, **options) -> Simulation:
    simulation = Simulation(count, **options)
    simulation.start()
    simulation.run(4.0)
    return simulation


def run(simulation: Simulation, seconds: float) -> None:
    simulation.run(simulation.t + seconds)


def finals(simulation: Simulation, names: Iterable[str] | None = None) -> list[int]:
    return [simulation.facts(name)["finalized"][0] for name in names or simulation.names]


def heads(simulation: Simulation, names: Iterable[str] | None = None) -> list[int]:
    return [simulation.facts(name)["height"] for name in names or simulation.names]


def assert_safe(simulation: Simulation) -> None:
    assert simulation.conflicts == []
    assert simulation.backs == []
    assert [machine.crashed for machine in simulation.machines.values() if machine.crashed] == []


def assert_recovered(simulation: Simulation, edges: int | None = None) -> None:
    """One mesh, one chain, and finality goes on."""
    before = max(finals(simulation))
    run(simulation, 4 * simulation.machines["v1"].config.layer_s)
    assert_safe(simulation)
    assert min(finals(simulation)) > before
    assert max(heads(simulation)) - min(heads(simulation)) <= 1
    count = len(simulation.names)
    assert len(simulation.edges()) == (edges if edges is not None else count * (count - 1) // 2)


def test_it_is_steady_soon():
    simulation = start(9)
    assert min(finals(simulation)) >= 3
    assert_recovered(simulation)


def test_halves_grow_apart_finalize_nothing_and_merge():
    simulation = start(9)
    final = max(finals(simulation))
    simulation.partition(simulation.names[:4], simulation.names[4:])
    run(simulation, 10.0)
    assert max(finals(simulation)) <= final + 1
    assert min(heads(simulation)) > final + 10, "both sides go on building"
    assert simulation.facts("v1")["head"] != simulation.facts("v9")["head"]
    simulation.heal()
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_seven_of_nine_go_on_and_the_others_adopt_their_chain():
    simulation = start(9)
    small, big = simulation.names[:2], simulation.names[2:]
    simulation.partition(small, big)
    run(simulation, 10.0)
    assert min(finals(simulation, big)) > max(finals(simulation, small)) + 10
    chain = simulation.facts("v9")["recent"]
    simulation.heal()
    run(simulation, 3.0)
    assert [simulation.machines["v1"].core.ledger.final[height].hash for height, _ in chain] == [
        h for _, h in chain
    ]
    assert_recovered(simulation)


def test_thirty_to_seventy_by_stake():
    simulation = start(5, stakes=[71, 10, 10, 5, 4])
    small, big = simulation.names[1:], simulation.names[:1]
    simulation.partition(small, big)
    run(simulation, 8.0)
    assert finals(simulation, big)[0] > max(finals(simulation, small)) + 8
    simulation.heal()
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_two_thirds_exactly_finalize_nothing():
    simulation = start(9)
    final = max(finals(simulation))
    simulation.partition(simulation.names[:3], simulation.names[3:])
    run(simulation, 8.0)
    assert max(finals(simulation)) <= final + 1


@pytest.mark.parametrize("shape", ["thirds", "bridge", "ring"])
def test_shapes(shape):
    simulation = start(9)
    names = simulation.names
    if shape == "thirds":
        simulation.partition(names[:3], names[3:6], names[6:])
    elif shape == "bridge":
        simulation.partition(names[:5], names[4:])
    else:
        around = {
            (a, b) for i, a in enumerate(names) for b in [names[(i + k) % 9] for k in (-2, -1, 0, 1, 2)]
        }
        simulation.cut((a, b) for a in names for b in names if (a, b) not in around)
    run(simulation, 10.0)
    assert_safe(simulation)
    simulation.heal()
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_a_lone_node_makes_its_own_blocks_and_gives_them_up():
    simulation = start(9)
    simulation.partition(["v1"], simulation.names[1:])
    run(simulation, 20.0)
    assert not simulation.edges() & {frozenset(("v1", name)) for name in simulation.names}
    assert finals(simulation, ["v1"])[0] + 20 < finals(simulation, ["v2"])[0]
    simulation.heal()
    run(simulation, 3.0)
    assert_recovered(simulation)


def test_a_node_far_behind_takes_the_chain_in_pieces():
    simulation = start(4, layer_s=0.1)
    simulation.kill("v1")
    run(simulation, 55.0)
    simulation.start("v1")
    run(simulation, 4.0)
    assert_recovered(simulation)
    taken = [int(line.split()[1]) for _, line in simulation.machines["v1"].log if line.startswith("took ")]
    assert len(taken) == 3, "each piece goes on where the one before ended"
    assert max(taken) <= 200


def test_long_forks_of_both_halves_merge():
    simulation = start(4, layer_s=0.1)
    simulation.partition(simulation.names[:2], simulation.names[2:])
    run(simulation, 30.0)
    simulation.heal()
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_all_are_killed_and_go_on_from_their_disks():
    simulation = start(7)
    prefix = simulation.facts("v1")["recent"]
    simulation.kill(*simulation.names)
    run(simulation, 3.0)
    simulation.start()
    assert simulation.facts("v1")["recent"][: len(prefix)] == prefix
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_with_f_down_finality_goes_on_and_with_one_more_it_waits():
    simulation = start(7)
    simulation.kill("v1", "v2")
    run(simulation, 8.0)
    up = simulation.names[2:]
    final = max(finals(simulation, up))
    assert final > 8
    simulation.kill("v3")
    run(simulation, 6.0)
    assert max(finals(simulation, up[1:])) <= final + 1
    simulation.start("v1", "v2", "v3")
    run(simulation, 4.0)
    assert_recovered(simulation)


@pytest.mark.parametrize("count", [2, 4, 6])
def test_wiped_nodes_regain_their_memory_from_the_others(count):
    simulation = start(9)
    simulation.kill(*simulation.names[:count], wipe=True)
    run(simulation, 4.0)
    simulation.start(*simulation.names[:count])
    run(simulation, 5.0)
    assert not any(machine.core.blank for machine in simulation.machines.values())
    assert_recovered(simulation)


def test_wrong_clocks_are_shut_out_and_let_in_again():
    simulation = start(9)
    simulation.clock("v1", 30.0)
    simulation.clock("v2", -30.0)
    run(simulation, 8.0)
    assert simulation.facts("v1")["peers"] == simulation.facts("v2")["peers"] == 0
    assert min(finals(simulation, simulation.names[2:])) > 12
    simulation.clock("v1", 0.0)
    simulation.clock("v2", 0.0)
    run(simulation, 5.0)
    assert_recovered(simulation)


def test_slightly_wrong_clocks_are_no_matter():
    simulation = start(9)
    for name, offset in (("v1", 0.2), ("v2", -0.2), ("v3", 0.1)):
        simulation.clock(name, offset)
    before = min(finals(simulation))
    run(simulation, 10.0)
    assert len(simulation.edges()) == 36
    assert min(finals(simulation)) - before >= 16
    assert_safe(simulation)


def test_clocks_that_jump_to_and_fro_crash_nobody():
    simulation = start(9)
    simulation.clock("v2", lambda t: 0.4 if int(t / 0.2) % 2 else 0.0)
    simulation.clock("v3", lambda t: 3600.0 if int(t) % 2 else -3600.0)
    frozen = simulation.t
    simulation.clock("v4", lambda t: frozen - t)
    run(simulation, 10.0)
    for name in ("v2", "v3", "v4"):
        simulation.clock(name, 0.0)
    run(simulation, 5.0)
    assert_recovered(simulation)


def test_paused_nodes_come_back():
    simulation = start(9)
    simulation.pause("v1", "v2", "v3")
    run(simulation, 12.0)
    simulation.resume("v1", "v2", "v3")
    run(simulation, 4.0)
    assert_recovered(simulation)


def test_who_knows_the_boot_node_alone_learns_of_all():
    simulation = start(6, peers=lambda name: [] if name == "v1" else ["v1"])
    assert len(simulation.edges()) == 15
    simulation.kill("v1")
    run(simulation, 4.0)
    assert len(simulation.edges()) == 10
    simulation.kill("v2")
    simulation.start("v2")
    run(simulation, 4.0)
    assert len(simulation.edges()) == 10, "addresses are kept on disk"


def test_many_nodes_hold_eight_peers_each_and_get_them_back():
    simulation = start(24, layer_s=1.0)
    run(simulation, 3.0)
    edges = simulation.edges()
    assert [simulation.facts(name)["peers"] for name in simulation.names] == [8] * 24
    simulation.partition(simulation.names[::2], simulation.names[1::2])
    run(simulation, 10.0)
    assert min(simulation.facts(name)["peers"] for name in simulation.names) >= 6, "substitutes were found"
    assert not any(int(min(edge)[1:]) % 2 != int(max(edge)[1:]) % 2 for edge in simulation.edges())
    simulation.heal()
    run(simulation, 8.0)
    assert simulation.edges() == edges
    assert_recovered(simulation, edges=96)


FAULTS = st.sampled_from(
    ["split", "oneway", "heal", "kill", "start", "clocks", "right", "pause", "resume", "storm"]
)
OFFSETS = st.sampled_from([0.1, -0.3, 0.6, -2.0, 30.0, -30.0])


@FEW
@given(st.data())
def test_whatever_happens_nothing_conflicting_is_final_and_all_recover(data):
    rng = data.draw(st.randoms(use_true_random=False))
    simulation = start(data.draw(st.sampled_from([4, 7, 9])), seed=rng.randrange(1 << 30))
    names = simulation.names
    wipable = names[: (len(names) - 1) // 3]
    for _ in range(data.draw(st.integers(2, 8))):
        some = rng.sample(names, rng.randint(1, len(names)))
        up = [name for name in some if simulation.machines[name].core is not None]
        match data.draw(FAULTS):
            case "split":
                simulation.partition(
                    *([name for name in names if rng.random() < 0.6] for _ in range(rng.randint(2, 4)))
                )
            case "oneway":
                simulation.cut((a, b) for a in names for b in names if a != b and rng.random() < 0.3)
            case "storm":
                for _ in range(15):
                    simulation.partition(*([name for name in names if rng.random() < 0.7] for _ in range(2)))
                    run(simulation, rng.random() * 0.4)
            case "heal":
                simulation.heal()
            case "kill":
                for name in up:
                    simulation.kill(name, wipe=name in wipable and rng.random() < 0.5)
            case "start":
                simulation.start(*(name for name in names if simulation.machines[name].core is None))
            case "clocks":
                for name in some:
                    simulation.clock(name, data.draw(OFFSETS))
            case "right":
                for name in names:
                    simulation.clock(name, 0.0)
            case "pause":
                simulation.pause(*up)
            case "resume":
                simulation.resume(*(name for name in names if simulation.machines[name].paused))
        run(simulation, rng.choice([0.2, 1.0, 4.0]))
        assert_safe(simulation)
    simulation.heal()
    for name in names:
        machine = simulation.machines[name]
        simulation.clock(name, 0.0)
        if machine.core is None:
            simulation.start(name)
        elif machine.paused:
            simulation.resume(name)
    cores = [machine.core for machine in simulation.machines.values()]
    ahead = max(max(core.voted, core.ledger.justified.layer) for core in cores)
    config = cores[0].config
    run(simulation, max(0.0, config.start_of(ahead) - simulation.now("v1").wall) + 10.0)
    assert_recovered(simulation)
