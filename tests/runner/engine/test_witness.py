"""Which pairs get heartbeats, and what they say of the blocks."""

from hypothesis import given
from hypothesis import strategies as st

from faults.model import NetworkModel
from runner.engine.witness import EVERYBODY, MOST_PAIRS, reach_of, watched_pairs

NAMES = tuple(f"n{i}" for i in range(1, 21))


def halves():
    healthy = NetworkModel(NAMES)
    return healthy.with_cut(NAMES[:10], NAMES[10:]).with_cut(NAMES[10:], NAMES[:10])


def test_every_ordered_pair_of_blocks_has_two_watched_pairs():
    pairs = watched_pairs([halves()], NAMES, seed=1)
    left = set(NAMES[:10])
    for sources in (left, set(NAMES) - left):
        for targets in (left, set(NAMES) - left):
            assert sum(a in sources and b in targets for a, b in pairs) >= 2


def test_a_small_network_is_watched_whole():
    names = NAMES[:7]
    assert len(watched_pairs([NetworkModel(names)], names, seed=1)) == 42 <= EVERYBODY


def test_the_same_seed_watches_the_same_pairs():
    assert watched_pairs([halves()], NAMES, 3) == watched_pairs([halves()], NAMES, 3)
    assert watched_pairs([halves()], NAMES, 3) != watched_pairs([halves()], NAMES, 4)


@given(st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES))), max_size=6))
def test_pairs_are_of_two_nodes_and_never_too_many(rules):
    model = NetworkModel(NAMES)
    for a, b in rules:
        model = model.with_cut(a, b)
    pairs = watched_pairs([model], NAMES, seed=1)
    assert len(pairs) <= max(MOST_PAIRS, EVERYBODY)
    assert all(a != b for a, b in pairs)


def test_blocks_are_cut_where_all_their_heartbeats_are_silent():
    model = halves()
    pairs = watched_pairs([model], NAMES, seed=1)
    beats = {(a, b): not model.is_cut(a, b) for a, b in pairs}
    observed = reach_of(model, beats)
    assert observed == {"blocks": [list(NAMES[:10]), list(NAMES[10:])], "cut": [[0, 1], [1, 0]]}
    crossing = next(p for p in pairs if model.is_cut(*p))
    assert reach_of(model, {**beats, crossing: True}) is None


def test_where_nothing_is_watched_nothing_is_claimed():
    assert reach_of(halves(), {}) is None
    assert reach_of(NetworkModel(NAMES), {}) is None


def test_one_silent_pair_keeps_a_healed_network_from_being_called_whole():
    healthy = NetworkModel(NAMES)
    beats = dict.fromkeys(watched_pairs([halves()], NAMES, seed=1), True)
    assert reach_of(healthy, beats) == {"blocks": [list(NAMES)], "cut": []}
    assert reach_of(healthy, {**beats, next(iter(beats)): False}) is None
