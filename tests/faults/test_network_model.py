"""Blocks, reachability and the algebra of conditions, against brute force over nodes."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.model import ClockCondition, LinkCondition, NetworkModel, NodeStatus, Status

NAMES = tuple(f"n{i}" for i in range(7))
some = st.frozensets(st.sampled_from(NAMES), max_size=7)
rules = st.lists(st.tuples(some, some), max_size=6)
statuses = st.builds(
    NodeStatus, st.sampled_from(Status), st.sampled_from(["kill", "term", "int"]), st.booleans()
)
seconds = st.integers(0, 40).map(lambda n: n / 4)
clocks = st.builds(
    ClockCondition,
    st.integers(-20, 20).map(float),
    st.lists(st.tuples(seconds, st.sampled_from([100.0, -500.0])), max_size=2).map(
        lambda d: tuple(sorted(d))
    ),
    st.lists(st.tuples(seconds, st.sampled_from([0.25, 1.0]), st.sampled_from([0.5, 2.0])), max_size=1).map(
        tuple
    ),
    st.none() | seconds,
)


def with_cuts(cuts):
    model = NetworkModel(NAMES)
    for sources, targets in cuts:
        model = model.with_cut(sources, targets)
    return model


def pairwise(cuts, among):
    """The directed graph of nodes, a pair at a time: what the model must agree with."""
    graph = nx.DiGraph()
    graph.add_nodes_from(among)
    graph.add_edges_from(
        (a, b) for a in among for b in among if a != b and not any(a in s and b in t for s, t in cuts)
    )
    return graph


@given(rules, some)
def test_components_are_those_of_the_graph_of_nodes(cuts, among):
    expected = {frozenset(c) for c in nx.strongly_connected_components(pairwise(cuts, among))}
    found = with_cuts(cuts).components(among)
    assert set(found) == expected
    assert [len(c) for c in found] == sorted((len(c) for c in found), reverse=True)


@given(rules)
def test_components_agree_with_the_graph_of_blocks(cuts):
    model = with_cuts(cuts)
    graph = model.reach()
    inner = {i for i in graph if graph.has_edge(i, i) or len(graph.nodes[i]["members"]) == 1}
    expected = set()
    for scc in nx.strongly_connected_components(graph):
        members = frozenset().union(*(graph.nodes[i]["members"] for i in scc))
        expected |= {members} if len(scc) > 1 or scc <= inner else {frozenset({m}) for m in members}
    assert set(model.components()) == expected


@given(rules)
def test_cut_blocks_say_of_every_pair_whether_it_is_cut(cuts):
    model = with_cuts(cuts)
    blocks, pairs = model.cut_blocks()
    assert sorted(n for b in blocks for n in b) == sorted(NAMES)
    at = {n: i for i, b in enumerate(blocks) for n in b}
    for a in NAMES:
        for b in NAMES:
            if a != b:
                wanted = any(a in s and b in t for s, t in cuts)
                assert ((at[a], at[b]) in pairs) == wanted == model.is_cut(a, b)


@given(rules)
def test_cut_blocks_are_as_few_as_can_be(cuts):
    """No two blocks could be one: merging any two would need a link to be both cut and whole."""
    model = with_cuts(cuts)
    blocks, pairs = model.cut_blocks()
    for i, one in enumerate(blocks):
        for j, two in enumerate(blocks[:i]):
            both = one | two
            alike = all(
                len({model.is_cut(m, n) for m in both}) == 1 and len({model.is_cut(n, m) for m in both}) == 1
                for n in set(NAMES) - both
            )
            inside = {model.is_cut(a, b) for a in both for b in both if a != b}
            assert not (alike and len(inside) == 1), (i, j)
    assert all(len(blocks[i]) > 1 for i, j in pairs if i == j)


@given(rules, st.randoms())
def test_what_is_described_hangs_on_the_cuts_and_not_on_the_rules(cuts, random):
    other = list(cuts)
    random.shuffle(other)
    split = [({s}, targets) for sources, targets in other for s in sorted(sources)]
    assert with_cuts(split).describe() == with_cuts(cuts).describe()


@given(rules)
def test_blocks_hold_nodes_that_no_rule_tells_apart(cuts):
    for block in with_cuts(cuts).blocks():
        assert len({tuple((n in s, n in t) for s, t in cuts if s and t) for n in block}) == 1


@given(
    rules, st.dictionaries(st.sampled_from(NAMES), statuses), st.dictionaries(st.sampled_from(NAMES), clocks)
)
def test_describing_and_reading_back_gives_the_same_network(cuts, status, clock):
    model = with_cuts(cuts)
    for node, one in status.items():
        model = model.with_status([node], one)
    for node, error in clock.items():
        model = model.with_clock(node, error)
    again = NetworkModel.from_description(NAMES, model.describe())
    assert again.describe() == model.describe()
    assert again.components() == model.components()
    assert all(again.is_cut(a, b) == model.is_cut(a, b) for a in NAMES for b in NAMES)
    assert {n: again.status_of(n).status for n in NAMES} == {n: model.status_of(n).status for n in NAMES}


def test_a_link_is_cut_if_any_condition_cuts_it():
    whole, cut = LinkCondition(), LinkCondition(cut=True)
    assert (whole | whole, whole | cut, cut | whole, cut | cut) == (whole, cut, cut, cut)


def test_a_healthy_network_is_described_by_nothing():
    assert NetworkModel(NAMES).describe() == {}
    assert NetworkModel(NAMES).with_clock("n1", ClockCondition()).describe() == {}
    assert NetworkModel(NAMES).with_cut(["n1"], ["n1"]).describe() == {}


@given(statuses, statuses, statuses)
def test_status_is_a_join(a, b, c):
    assert a | b == b | a
    assert (a | b) | c == a | (b | c)
    assert a | a == a


def test_of_two_ways_down_the_harsher_wins():
    term, kill = NodeStatus(Status.DOWN, "term"), NodeStatus(Status.DOWN, "kill", wipe=True)
    assert term | kill == NodeStatus(Status.DOWN, "kill", wipe=True)
    assert term | NodeStatus(Status.PAUSED) == term


def test_nodes_down_are_in_no_component_and_carry_nobody():
    chain = NetworkModel(("a", "b", "c")).with_cut("a", "c").with_cut("c", "a")
    assert chain.components() == [frozenset("abc")]
    assert chain.with_status("b", NodeStatus(Status.DOWN)).components() == [frozenset("a"), frozenset("c")]


@given(clocks, clocks, clocks)
def test_clock_errors_add_in_any_order(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + ClockCondition() == a


@given(st.lists(st.integers(-(10**9), 10**9).map(lambda us: us / 1e6), max_size=6), st.randoms())
def test_offsets_add_up_to_the_same_number_in_any_order(offsets, random):
    other = list(offsets)
    random.shuffle(other)
    one, two = (sum(map(ClockCondition, some), ClockCondition()) for some in (offsets, other))
    assert one == two


@given(clocks, clocks, seconds)
def test_without_a_freeze_errors_are_sums(a, b, t):
    if a.frozen_since is None and b.frozen_since is None:
        assert (a + b).error_at(t) == pytest.approx(a.error_at(t) + b.error_at(t))


@given(clocks, seconds, seconds)
def test_a_frozen_clock_shows_the_same_for_ever(clock, since, later):
    frozen = clock + ClockCondition(frozen_since=since)
    at = max(since, later)
    assert at + frozen.error_at(at) == pytest.approx(at + 5 + frozen.error_at(at + 5))


def test_drift_counts_from_its_instant_and_strobe_jumps_after_the_first_half():
    drift = ClockCondition(drifts=((10.0, 500.0),))
    assert drift.error_at(8) == 0
    assert drift.error_at(20) == pytest.approx(0.005)
    strobe = ClockCondition(strobes=((10.0, 0.2, 1.0),))
    assert [strobe.error_at(t) for t in (5, 10.5, 11.5, 12.5, 13.5)] == [0, 0, 0.2, 0, 0.2]


def test_a_drift_that_begins_after_the_freeze_shows_nothing():
    frozen = ClockCondition(frozen_since=5.0) + ClockCondition(drifts=((10.0, 500.0),))
    assert frozen.error_at(20) == pytest.approx(-15.0)
