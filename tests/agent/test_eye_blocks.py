from hypothesis import given
from hypothesis import strategies as st

from faults.agent.eye.blocks import compress


def expand(reach, names):
    """The ordered pairs that do not reach, as the reader of the blocks understands them."""
    where = {n: i for i, block in enumerate(reach["blocks"]) for n in block}
    cut = {tuple(c) for c in reach["cut"]}
    return {(a, b) for a in names for b in names if a != b and (where[a], where[b]) in cut}


@st.composite
def matrices(draw):
    """Pairs that do not reach.

    Few classes with random cuts between and inside them, and some single pairs.
    """
    n = draw(st.integers(0, 12))
    label = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    cut = draw(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))))
    pairs = {(a, b) for a in range(n) for b in range(n) if a != b and (label[a], label[b]) in cut}
    if n > 1:
        place = st.integers(0, n - 1)
        pairs ^= draw(st.sets(st.tuples(place, place).filter(lambda p: p[0] != p[1]), max_size=4))
    return n, pairs


@given(matrices())
def test_blocks_give_the_matrix_back(matrix):
    n, pairs = matrix
    names = [f"n{i}" for i in range(n)]
    reach = compress(names, pairs)
    assert sorted(x for b in reach["blocks"] for x in b) == sorted(names)
    assert expand(reach, names) == {(names[a], names[b]) for a, b in pairs}


@given(matrices())
def test_no_two_blocks_could_be_one(matrix):
    n, pairs = matrix
    names = [f"n{i}" for i in range(n)]
    blocks = compress(names, pairs)["blocks"]
    number = {name: i for i, name in enumerate(names)}
    for k, first in enumerate(blocks):
        for second in blocks[k + 1 :]:
            merged = [number[x] for x in first + second]
            inside = {(a, b) in pairs for a in merged for b in merged if a != b}
            others = [o for o in range(n) if o not in merged]
            outside = {tuple(((m, o) in pairs, (o, m) in pairs) for o in others) for m in merged}
            assert len(inside) > 1 or len(outside) > 1


def test_halves_are_two_blocks():
    pairs = {(a, b) for a in range(6) for b in range(6) if (a < 3) != (b < 3)}
    assert compress("abcdef", pairs) == {
        "blocks": [["a", "b", "c"], ["d", "e", "f"]],
        "cut": [[0, 1], [1, 0]],
    }


def test_nodes_cut_from_everybody_are_one_block_cut_from_itself():
    pairs = {(a, b) for a in range(4) for b in range(4) if a != b and (a >= 2 or b >= 2)}
    assert compress("abcd", pairs) == {
        "blocks": [["a", "b"], ["c", "d"]],
        "cut": [[0, 1], [1, 0], [1, 1]],
    }
