"""What a node is told, and what it makes of nonsense."""

import pytest

from runner.devnet.config import BadConfig, read

GOOD = {
    "name": "v2",
    "address": "10.0.0.2",
    "peers": {"v1": "10.0.0.1", "v2": "10.0.0.2"},
    "nodes": {"v10": {"stake": 2}, "v2": {"stake": 1}, "v1": {}},
    "genesis": 1000.0,
    "layer": 0.5,
    "data": "/nowhere",
}


def test_read():
    config = read(GOOD)
    assert config.names == ("v1", "v2", "v10"), "an order of its own, the same for all"
    assert config.number == 1
    assert config.peers == {"v1": "10.0.0.1"}
    assert (config.port, config.status_host, config.status_port) == (7000, "0.0.0.0", 7001)
    assert config.weight(0b101) == 3.0
    assert [config.layer_at(t) for t in (999.9, 1000.0, 1000.7)] == [-1, 0, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "v9"}, "v9 is not among the nodes"),
        ({"layer": 0}, "layer must be"),
        ({"layer": "soon"}, "cannot be read"),
        ({"genesis": float("nan")}, "genesis a time"),
        ({"nodes": {"v2": 1}}, "cannot be read"),
        ({"nodes": {"v2": {"stake": -1}}}, "every stake"),
        ({"peers": 5}, "cannot be read"),
    ],
)
def test_nonsense(change, says):
    with pytest.raises(BadConfig, match=says):
        read(GOOD | change)


@pytest.mark.parametrize("key", ["name", "address", "genesis", "data"])
def test_missing(key):
    with pytest.raises(BadConfig, match=f"lacks '{key}'"):
        read({name: value for name, value in GOOD.items() if name != key})
