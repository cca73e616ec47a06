# ruff: noqa: E501 (a table)
"""Every predicate and bound has a network that violates it, one that holds and one of which it cannot be
told.
"""

import pytest
from written import Journal, World, chain, found, names

from runner.predicates.predicate import Answer, catalogue

N = names(5)
HELD, VIOLATED, UNKNOWN = Answer.HELD, Answer.VIOLATED, Answer.UNKNOWN


def network(facts=None, edges=None, reach=None, missed=None, until=12.0):
    world = World(list(N))
    if facts:
        world.facts = facts
    if edges is not None:
        world.edges = edges if callable(edges) else lambda t: edges
    if reach is not None:
        world.reach = lambda t: reach
    if missed:
        world.missed = missed
    return Journal(world, until=until)


def of(node, other, usual=chain):
    """Facts of a network in which one node says something else."""
    return lambda t, n: (other(t) if callable(other) else other) if n == node else usual(t)


def blind():
    return network(missed=lambda t: t > 11)


RING = [("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "n5"), ("n1", "n5")]
PATH = RING[:4]
TWO = [("n1", "n2"), ("n2", "n3"), ("n4", "n5")]
CUT = {"blocks": [["n1", "n2", "n3"], ["n4", "n5"]], "cut": [[0, 1], [1, 0]]}
WHOLE = {"blocks": [list(N)], "cut": []}


def silent(t):
    return "timeout"


def still(t):
    return chain(min(t, 7))


def nothing(t, n):
    return {"other": 1}


def back(t):
    return chain(t) if t < 9 else {**chain(t), "finalized": [3, "b0003"]}


def late(t):
    return chain(max(t - 4, 0))


def crashed():
    return network().add("exited", 9.0, node="n2", pid=4, code=-6, expected=False)


def logged(node="n2", t=8.0):
    return network().add("log", t, node=node, pattern="hello", text="say hello")


def cut_model():
    return network(reach=WHOLE, edges=None).model(8.0, {"cuts": CUT})


def degrees(after):
    return network(edges=lambda t: World(list(N)).mesh(t) if t < 8 else after)


CASES = [
    # expression, network, answer, words in the reason
    ("connected", network(edges=RING), HELD, "all are connected"),
    ("connected", network(edges=TWO), VIOLATED, "n4, n5 do not connect to the other 3: components of 3 and 2 nodes"),
    ("connected", blind(), UNKNOWN, "not observed"),
    ({"connected": {"share": "60%"}}, network(edges=TWO), HELD, "3 of 5"),
    ({"connected": {"of": ["n4", "n5"]}}, network(edges=TWO), HELD, ""),
    ({"connected": {"of": ["n1", "n3"]}}, network(edges=[("n1", "n2"), ("n2", "n3")]), HELD, ""),
    ({"connected": {"graph": "reach"}}, network(reach=CUT), VIOLATED, "components of 3 and 2"),
    ({"connected": {"graph": "sockets"}}, network(edges=TWO), HELD, ""),
    ({"isolated": {"of": "n5"}}, network(edges=[("n1", "n2")]), HELD, "no connection"),
    ({"isolated": {"of": "n5"}}, network(edges=TWO), VIOLATED, "n5 is connected to n4"),
    ({"isolated": {"of": "n5"}}, blind(), UNKNOWN, ""),
    ("matches_model", network(reach=WHOLE), HELD, "as the model says"),
    ("matches_model", network(reach=CUT), VIOLATED, "n1, n2, n3: does not reach n4, n5"),
    ("matches_model", cut_model(), VIOLATED, "reaches n4, n5 although cut"),
    ("matches_model", network(reach=CUT).model(8.0, {"cuts": CUT}), HELD, ""),
    ("matches_model", network(), UNKNOWN, "not observed"),
    ({"matches_model": {"graph": "overlay"}}, cut_model(), VIOLATED, "is connected to n4 although cut"),
    ({"matches_model": {"graph": "overlay"}}, network(edges=TWO).model(8.0, {"cuts": CUT}), HELD, ""),
    ("degree_recovers", degrees(World(list(N)).mesh(0)), HELD, "the connections are back"),
    ("degree_recovers", degrees(RING), VIOLATED, "has 2 connections, 4 before (3 wanted)"),
    ({"degree_recovers": {"to": "50%"}}, degrees(RING), HELD, ""),
    ("degree_recovers", blind(), UNKNOWN, ""),
    ("no_cut_vertex", network(edges=RING), HELD, "no cut vertex"),
    ("no_cut_vertex", network(edges=PATH), VIOLATED, "n2, n3, n4: is all that holds parts"),
    ("no_cut_vertex", blind(), UNKNOWN, ""),
    ({"eclipsed": {"of": "n1", "peers": ["n2", "n5"]}}, network(edges=RING), HELD, "n1 lead to n2, n5"),
    ({"eclipsed": {"of": "n1", "peers": "n2"}}, network(edges=RING), VIOLATED, "1 of 2 connections"),
    ({"eclipsed": {"of": "n1", "peers": "n2", "above": "40%"}}, network(edges=RING), HELD, ""),
    ({"eclipsed": {"of": "n1", "peers": "n2", "above": "50%"}}, network(edges=RING), VIOLATED, ""),
    ({"eclipsed": {"of": "n1", "peers": "n2"}}, network(edges=[]), VIOLATED, "no connection at all"),
    ({"eclipsed": {"of": "n1", "peers": "n2"}}, blind(), UNKNOWN, ""),
    ({"agree": "head"}, network(), HELD, "all agree"),
    ({"agree": "head"}, network(of("n5", lambda t: chain(t, "x"))), VIOLATED,
     "head differs at height 12: n1, n2, n3, n4 have b0012; n5 has x0012"),
    ({"agree": "head"}, network(of("n5", lambda t: chain(t - 1, "x"))), VIOLATED, "head differs at height 11"),
    ({"agree": "head"}, network(of("n5", lambda t: chain(t - 1))), HELD, ""),
    ({"agree": "head"}, network(of("n5", late)), VIOLATED, "n5 is at height 8, 4 behind the highest"),
    ({"agree": {"fact": "head", "lag": 4}}, network(of("n5", late)), HELD, ""),
    ({"agree": {"fact": "head", "lag": 0}}, network(of("n5", lambda t: chain(t - 1))), VIOLATED, "1 behind"),
    ({"agree": "head"}, network(of("n5", silent)), VIOLATED, "n5 does not answer (timeout)"),
    ({"agree": "head"}, network(of("n5", {"height": 1})), UNKNOWN, "n5 does not report head"),
    ({"agree": {"fact": "head", "share": "80%"}}, network(of("n5", lambda t: chain(t, "x"))), HELD, "4 of 5"),
    ({"agree": "state"}, network(lambda t, n: {"state": "s"}), HELD, ""),
    ({"agree": "state"}, network(of("n2", {"state": "r"}, lambda t: {"state": "s"})), VIOLATED, "n2 has r"),
    ({"agree": {"fact": "sum", "per": "layer"}}, network(lambda t, n: {"layer": int(t), "sum": f"s{int(t)}"}), HELD, ""),
    ({"agree": {"fact": "sum", "per": "layer"}},
     network(lambda t, n: {"layer": int(t), "sum": n}), VIOLATED, "sum differs at height 12"),
    ({"agree": "head"}, blind(), UNKNOWN, "not observed"),
    ({"progress": "height"}, network(), HELD, "height rises"),
    ({"progress": "head"}, network(of("n3", still)), VIOLATED, "n3 head did not rise in 3.0 s"),
    ({"progress": "height"}, network(nothing), UNKNOWN, "does not report height"),
    ({"progress": {"fact": "height", "rate": "50%"}}, network(until=20), HELD, ""),
    ({"progress": {"fact": "height", "rate": "50%"}},
     network(lambda t, n: chain(t if t < 10 else 10 + (t - 10) / 8), until=22), VIOLATED, "of the usual speed"),
    ({"progress": {"fact": "height", "rate": "50%"}}, network(nothing), UNKNOWN, ""),
    ({"progress": {"fact": "height", "gain": 7}}, network(), HELD, ""),
    ({"progress": {"fact": "height", "gain": 8}}, network(), VIOLATED, "rose by 7 since 0.0 s, 8 wanted"),
    ({"progress": {"fact": "height", "gain": 1}}, blind(), UNKNOWN, ""),
    ({"stalled": "height"}, network(lambda t, n: chain(min(t, 5))), HELD, "stands still"),
    ({"stalled": "height"}, network(), VIOLATED, "height rose by 7 since 0.0 s"),
    ({"stalled": {"fact": "height", "gain": 7}}, network(), HELD, ""),
    ({"stalled": "height"}, network(nothing), UNKNOWN, ""),
    ({"stalled": "height"}, network(of("n4", silent)), VIOLATED, "n4 does not answer"),
    ({"no_conflict": "finalized"}, network(of("n4", still)), HELD, "one hash at each of"),
    ({"no_conflict": "finalized"}, network(of("n4", lambda t: chain(t, "x", 6))), VIOLATED,
     "conflict in finalized at height 6: n1, n2, n3, n5 have b0006; n4 has x0006"),
    ({"no_conflict": {"fact": "finalized", "but": "n4"}}, network(of("n4", lambda t: chain(t, "x", 6))), HELD, ""),
    ({"no_conflict": "finalized"}, network(nothing), UNKNOWN, "nobody reported finalized"),
    ({"never_back": "finalized"}, network(of("n4", silent)), HELD, "never went back"),
    ({"never_back": "finalized"}, network(of("n4", back)), VIOLATED, "n4 finalized fell from 6 to 3 at 4.0 s"),
    ({"never_back": "height"}, network(nothing), UNKNOWN, ""),
    ("fresh_final", network(until=12), HELD, "newer than height 5"),
    ("fresh_final", network(until=7), VIOLATED, "finalized is at 5, newer than 5 wanted"),
    ("fresh_final", network(nothing), UNKNOWN, ""),
    ("prefix_intact", network(), HELD, ""),
    ("prefix_intact", network(of("n4", lambda t: chain(t) if t < 8 else {"finalized": [3, "x"], "height": 3})),
     VIOLATED, ""),
    ("prefix_intact", network(nothing), UNKNOWN, ""),
    ("up", network(), HELD, "up"),
    ("up", network(of("n4", silent)), VIOLATED, "n4 does not answer (timeout)"),
    ("up", blind(), UNKNOWN, ""),
    ({"up": {"share": "70%"}}, network(of("n4", silent)), HELD, "4 of 5"),
    ("no_crash", network(), HELD, "nobody crashed"),
    ("no_crash", crashed(), VIOLATED, "n2 ended by itself at 4.0 s (signal 6)"),
    ({"log": "hello"}, logged(), HELD, "n2 logged 'say hello' at 3.0 s"),
    ({"log": "hello"}, network(), VIOLATED, "did not log 'hello'"),
    ({"log": {"text": "hello", "share": "all"}}, logged(), VIOLATED, "n1, n3, n4, n5: did not log"),
    ({"not": {"log": "hello"}}, logged(), VIOLATED, ""),
    ({"not": {"log": "hello"}}, logged(t=4.0), HELD, ""),
    ("height >= 12", network(), HELD, "height >= 12"),
    ("height >= 13", network(), VIOLATED, "height is 12, >= 13 wanted"),
    ("height >= 13", network(nothing), UNKNOWN, "does not report height"),
    ("head >= 12", network(), HELD, ""),
    ("finalized > 10", network(), VIOLATED, ""),
    ("lag <= 1", network(), HELD, ""),
    ("lag <= 1", network(of("n5", late)), VIOLATED, "n5 lag is 4, <= 1 wanted"),
    ("lag <= 1", network(nothing), UNKNOWN, ""),
    ("finality_age < 2s", network(), HELD, ""),
    ("finality_age > 2s", network(lambda t, n: chain(min(t, 9))), HELD, ""),
    ("finality_age > 10s", network(lambda t, n: chain(min(t, 9))), VIOLATED, "finality_age is 3"),
    ("finality_age > 2 layers", network(lambda t, n: chain(min(t, 7))), HELD, ""),
    ("finality_age > 1s", network(nothing), UNKNOWN, ""),
    ("fork_depth <= 2", network(), HELD, ""),
    ("fork_depth <= 2", network(of("n5", lambda t: chain(t) if t < 9 else chain(t - 5, "x", 4))), VIOLATED,
     "fork_depth is 5"),
    ("fork_depth <= 2", network(nothing), UNKNOWN, ""),
    ("synced", network(), HELD, ""),
    ("synced", network(of("n5", {"synced": False})), VIOLATED, "n5 synced is false"),
    ("synced", network(of("n5", {"synced": "yes"})), UNKNOWN, "not yes or no"),
    ("clock_error < 50ms", network(lambda t, n: {"clock_error": -0.01}), HELD, ""),
    ("clock_error < 50ms", network(lambda t, n: {"clock_error": -0.5}), VIOLATED, "clock_error is 0.5, < 50ms wanted"),
    ("clock_error < 50ms", network(nothing), UNKNOWN, ""),
    ("restarts == 0", network(), HELD, ""),
    ("restarts == 0", network().add("started", 9.0, node="n1", pid=9, why="supervisor"), VIOLATED, "restarts is 1"),
    ("restarts == 0", blind(), UNKNOWN, ""),
    ("version == v1_0", network(lambda t, n: {"version": "v1_0"}), HELD, ""),
    ("version == v1_0", network(lambda t, n: {"version": "v2_0"}), VIOLATED, "version is v2_0"),
    ("version == v1_0", network(nothing), UNKNOWN, ""),
    ("components == 2", network(edges=TWO), HELD, "components of 3 and 2 nodes"),
    ("components == 2", network(edges=RING), VIOLATED, "one component of 5 nodes, components == 2 wanted"),
    ("components == 2", blind(), UNKNOWN, ""),
    ("degree >= 2", network(edges=RING), HELD, ""),
    ("degree >= 2", network(edges=PATH), VIOLATED, "n1, n5: degree is 1, >= 2 wanted"),
    ("degree >= 2", blind(), UNKNOWN, ""),
    ("diameter <= 2", network(edges=RING), HELD, "the diameter is 2"),
    ("diameter <= 2", network(edges=PATH), VIOLATED, "the diameter is 4"),
    ("diameter <= 2", network(edges=TWO), VIOLATED, "in pieces"),
    ("diameter <= 2", blind(), UNKNOWN, ""),
    ("edge_connectivity >= 2", network(edges=RING), HELD, ""),
    ("edge_connectivity >= 2", network(edges=PATH), VIOLATED, "the loss of 1 connections"),
    ("edge_connectivity >= 2", blind(), UNKNOWN, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "journal", "answer", "words"),
    CASES,
    ids=[f"{i}-{str(c[0])[:40]}-{c[2].value}" for i, c in enumerate(CASES)],
)
def test_answer_and_reason(expression, journal, answer, words):
    finding = found(journal, expression)
    assert (finding.answer, finding.reason) == (answer, finding.reason)
    assert words in finding.reason


def test_every_predicate_has_all_three():
    answers: dict[str, set[Answer]] = {}
    for expression, _, answer, _ in CASES:
        name = expression if isinstance(expression, str) else next(iter(expression))
        answers.setdefault(name, set()).add(answer)
    for name in catalogue():
        # Processes and logs come as events, not as samples: there is nothing that our eye could miss one by one.
        wanted = {HELD, VIOLATED} if name in ("no_crash", "log") else {HELD, VIOLATED, UNKNOWN}
        assert answers.get(name, set()) >= wanted, name


def test_components_mean_reach_during_a_fault_and_the_overlay_else():
    journal = network(edges=RING, reach=CUT)
    assert found(journal, "components == 2", phase="during").answer is HELD
    assert found(journal, "components == 2", phase="after").answer is VIOLATED


def test_a_node_that_the_model_has_paused_is_neutral():
    journal = network(of("n4", silent)).model(6.0, {"status": {"n4": {"is": "paused"}}})
    assert found(journal, {"agree": "head"}).answer is HELD
    assert found(journal, {"up": {"of": "n4"}}).answer is VIOLATED, "named, it is not up"
    only = found(journal, {"agree": {"fact": "head", "of": "n4"}})
    assert (only.answer, only.neutral) == (UNKNOWN, True)


def test_a_wiped_disk_starts_anew_but_a_lost_one_goes_back():
    def facts(t, n):
        if n == "n1" and 8 <= t < 9.5:
            return "refused"
        return chain(t - 8) if n == "n1" and t >= 9.5 else chain(t)

    wiped = network(facts, until=14).kill(8, 9, ["n1"], wipe=True)
    lost = network(facts, until=14).kill(8, 9, ["n1"])
    assert found(wiped, {"never_back": "finalized"}).answer is HELD
    assert found(lost, {"never_back": "finalized"}).answer is VIOLATED


def test_what_rose_before_the_fault_ended_is_no_recovery():
    journal = network(lambda t, n: chain(min(t, 10)), until=11)
    assert found(journal, {"progress": "height"}, phase="during").answer is HELD
    assert found(journal, {"progress": "height"}, phase="after", since=10.2).answer is VIOLATED


def test_targets_are_steps_sides_groups_globs_and_nodes():
    journal = network(of("n5", silent)).step(
        "split", "partition", 6, 9, sides={"a": ["n1", "n2"], "b": ["n4", "n5"]}
    )
    for targets, answer in (
        ({"of": "split.a"}, HELD),
        ({"of": "split.b"}, VIOLATED),
        ({"of": "split"}, VIOLATED),
        ({"of": "split", "but": "split.b"}, HELD),
        ({"of": "miners"}, HELD),
        ({"of": "full"}, VIOLATED),
        ({"of": "n*"}, VIOLATED),
        ({"of": ["n1", "n3"]}, HELD),
        ({"zone": "eu"}, VIOLATED),
        ({"where": "height >= 1"}, HELD),
    ):
        assert found(journal, {"up": targets}).answer is answer, targets


def test_a_predicate_that_fails_is_unknown():
    from runner.predicates.predicate import Predicate

    class Broken(Predicate):
        def judge(self, view):
            raise RuntimeError("no")

    from runner.scenario.model import Named

    finding = found(network(), Named(Broken(), "broken"))
    assert finding.answer is UNKNOWN
    assert "'broken' could not be judged: RuntimeError: no" in finding.reason
