"""What becomes of right files: values, names, parameters, overrides; a resolved scenario is itself again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import yaml
from scenario_texts import NETWORK, scenario

from faults.fields import Amount, Bound, Duration, Moment, Targets
from runner.scenario import first, load
from runner.scenario.model import All, Flap, Is, Named, Not, Spread

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))
COMMANDS = Path(__file__).parent / "samples" / "commands.yaml"
STEP = "{at: 10s, for: 20s, kill: {pick: 1}}"


def good(text, **options):
    loaded = load(text, **{"file": "x.yaml", **options})
    assert loaded.problems == []
    return loaded.scenario


def bad(text, **options):
    loaded = load(text, **{"file": "x.yaml", **options})
    assert loaded.scenario is None
    return [str(p) for p in loaded.problems]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.stem)
def test_samples_are_accepted(sample):
    assert [str(p) for p in load(sample).problems] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.stem)
@pytest.mark.parametrize(
    "write", [json.dumps, partial(yaml.safe_dump, sort_keys=False)], ids=["json", "yaml"]
)
def test_what_was_resolved_is_the_same_scenario(sample, write, tmp_path):
    scenario = load(sample).scenario
    assert scenario is not None
    copy = tmp_path / "scenario.yaml"
    copy.write_text(write(scenario.resolved))
    again = load(copy)
    assert again.problems == []
    assert again.scenario == scenario
    assert load(scenario.resolved).scenario == scenario


def test_the_first_scenario_is_right():
    made = good(first.text())
    assert [s.name for s in made.timeline] == ["split", "skew", "crash"]


def test_values():
    made = good(
        scenario(
            step=(
                "{at: end of x - 2s, for: 1m, clock: {of: [n1, n2], offset: -2s..+2s}}\n"
                "{at: 5s, for: 20s, pause: n3, name: x}"
            )
        )
    )
    step = made.timeline[0]
    assert step.at == Moment("end", "x", plus=Duration(2), sign=-1)
    assert step.lasting == Duration(1, "m")
    assert step.fault.of == ("n1", "n2")
    assert (step.fault.offset.low, step.fault.offset.high) == (-2, 2)
    assert made.seed is None
    assert made.name == "x"
    assert step.line == 4


def test_modifiers():
    made = good(
        scenario(
            step=(
                "{at: 1s, for: 30s, onset: 5s, heal: {over: 4s, order: listed}, isolate: {pick: 2}}\n"
                "{at: 50s, for: 20s, flap: 4s, kill: n1}"
            )
        )
    )
    assert made.timeline[0].onset == Spread(Duration(5))
    assert made.timeline[0].heal == Spread(Duration(4), "listed")
    assert made.timeline[1].flap == Flap(Duration(4), Duration(2))


def test_expressions():
    made = good(
        scenario(
            more="define: {healthy: [connected, {agree: head}]}\n",
            expect="{before: faults, that: [healthy, {not: height < 2}, {is: synced, of: n1, share: 3}]}",
        )
    )
    healthy, negated, is_ = made.expect[0].that.parts
    assert isinstance(healthy, All)
    assert healthy.name == "healthy"
    assert [p.text for p in healthy.parts] == ["connected", "agree: head"]
    assert isinstance(healthy.parts[1], Named)
    assert negated == Not(Is(Bound("height", "<", 2)))
    assert is_ == Is(Bound("synced"), Targets(of=("n1",)), "3")


def test_steps_and_expectations_without_a_name_get_one_that_nobody_has():
    made = good(
        scenario(
            step=(
                "{at: 1s, for: 5s, kill: n1}\n{at: 9s, for: 5s, kill: n2, name: kill-3}\n"
                "{at: 20s, for: 5s, kill: n1}"
            ),
            expect=(
                "{after: kill-3, within: 5s, that: synced}\n"
                "{after: kill-3, within: 5s, that: connected}\n{always: no_crash}"
            ),
        )
    )
    assert [(s.name, s.named) for s in made.timeline] == [
        ("kill-1", False),
        ("kill-3", True),
        ("kill-3-2", False),
    ]
    assert [e.name for e in made.expect] == ["after kill-3", "after kill-3 2", "always"]


def test_groups():
    made = load(COMMANDS).scenario
    boot, validators = made.network.groups
    assert boot.members == ("boot",)
    assert validators.members == ("v1", "v2", "v3", "v4")
    assert validators.stakes == (40, 10, 10, 10)
    assert validators.zones == ("eu", "eu", "eu", "us")
    assert validators.restarts == "always"
    assert made.network.quorum == 1 / 2
    assert made.network.observe.facts == {"height": "result.height", "leader": "result.is_leader"}
    assert Path(made.folder) == COMMANDS.parent / "networks"


def test_words_of_commands_stay_as_they_were_written():
    boot, validators = load(COMMANDS).scenario.network.groups
    assert boot.run[-6:] == ("--version", "1.10", "--hex", "0x1F", "--debug", "true")
    assert validators.env == {"GOMAXPROCS": "2", "EMPTY": ""}


def test_facts_of_a_node_are_left_for_its_commands_and_parameters_are_put_in():
    _, validators = load(COMMANDS, params={"level": "deb$$ug"}).scenario.network.groups
    assert validators.run[-4:] == ("--level", "deb$$ug", "--tag", "a$$b")
    assert validators.run[5] == "$boot.id@$boot.address:26656"


def test_parameters_in_texts():
    that = load(COMMANDS).scenario.expect[1].that.parts[1]
    assert that.inner.predicate.text == "panic: info $"


def test_units_and_the_layer_of_the_built_in_network():
    assert good(scenario()).network.units == {"layer": 1.0}
    own = (
        "network: {driver: local, units: {epoch: 4 layers, day: 2 epochs}, nodes: {count: 3, "
        "use: devnet, layer: 500ms}}\n"
    )
    made = good(scenario(network=own))
    assert made.network.units == {"layer": 0.5, "epoch": 2.0, "day": 4.0}
    assert made.network.groups[0].options == {"layer": Duration(500, "ms")}


def test_numbers_of_yaml_1_2():
    made = good(scenario(more="seed: 0o17\n"))
    assert made.seed == 15
    assert good(scenario(more="seed: 0x1F\n")).seed == 31


# -- parameters


def test_a_parameter_from_the_command_line():
    text = scenario(
        more="parameters: {lasting: 5s, many: 1}\n", step="{at: 1s, for: $lasting, kill: {pick: $many}}"
    )
    assert good(text).timeline[0].fault.pick == Amount("count", 1)
    made = good(text, params={"lasting": "9s", "many": "40%"})
    assert made.timeline[0].lasting == Duration(9)
    assert made.timeline[0].fault.pick == Amount("percent", 40)
    assert made.parameters == {"lasting": "9s", "many": "40%"}


def test_a_bad_parameter_is_named_where_it_is_used():
    text = scenario(more="parameters: {lasting: 5}\n", step="{at: 1s, for: $lasting, kill: n1}")
    assert bad(text) == [
        "x.yaml:5:19: 5 is not a time: write 500ms, 10s, 2m, 1h or protocol time such as '2 layers' "
        "(did you mean 5s?) (the value of $lasting)"
    ]


def test_a_parameter_that_is_not_there():
    text = scenario(more="parameters: {lasting: 5s}\n", step="{at: 1s, for: $lasting, kill: n1}")
    assert bad(text, params={"lastin": "3s"}) == [
        "--param lastin: the scenario has no parameter 'lastin'; did you mean 'lasting'?"
    ]


def test_a_parameter_that_stands_on_another():
    text = scenario(more="parameters: {a: 5s, b: $a}\n", step="{at: $b, for: $a, kill: n1}")
    assert any("cannot stand on another" in line for line in bad(text))


# -- overrides


def test_any_value_can_be_set():
    text = scenario(step=STEP)
    made = good(
        text, sets=["network.nodes.count=20", "timeline.0.for=1m", "seed=9", "limits.time=5m", "about='a: b'"]
    )
    assert len(made.network.groups[0].members) == 20
    assert made.timeline[0].lasting == Duration(1, "m")
    assert (made.seed, made.limits.time, made.about) == (9, Duration(5, "m"), "a: b")


def test_a_name_where_a_list_stands_goes_on_in_each_of_its_items():
    groups = "[{group: a, names: n, count: 4, use: devnet}, {group: b, names: m, count: 2, use: devnet}]"
    text = scenario(step=STEP, network=f"network: {{driver: local, nodes: {groups}}}\n")
    made = good(text, sets=["network.nodes.bugs=[forgets-peers]", "network.nodes.1.count=3"])
    assert [g.bugs for g in made.network.groups] == [("forgets-peers",)] * 2
    assert [len(g.members) for g in made.network.groups] == [4, 3]


def test_an_item_can_be_added_to_a_list():
    made = good(scenario(step=STEP), sets=["timeline.1={at: 50s, for: 5s, pause: n2}"])
    assert [s.kind for s in made.timeline] == ["kill", "pause"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("network.nodes.count=nine", "--set network.nodes.count: 'nine' is not a whole number"),
        (
            "network.nodes.cuont=9",
            "--set network.nodes.cuont: unknown key 'cuont' in a group of nodes; did you mean 'count'?",
        ),
        (
            "timeline.3.for=5s",
            "--set timeline.3.for: 'timeline' is a list: '3' is none of its indexes (0 to 0)",
        ),
        (
            "timeline.0.for.x=5s",
            "--set timeline.0.for.x: 'timeline.0.for' is no mapping and no list, so it has no 'x'",
        ),
        ("timeline.0.for", "--set timeline.0.for: write PATH=VALUE, such as network.nodes.count=20"),
        ("seed=", "--set seed: 'seed' has no value"),
        ("limits.tim=3s", "--set limits.tim: unknown key 'tim'; did you mean 'time'?"),
        ("timeline.0.kill.of=[n1, n9]", "--set timeline.0.kill.of: there is no node, group or step 'n9'"),
    ],
)
def test_what_is_set_is_checked_like_the_file(override, said):
    (found,) = bad(scenario(step=STEP), sets=[override])
    assert found.startswith(said)


def test_a_value_that_is_no_yaml():
    (found,) = bad(scenario(), sets=["seed=[1"])
    assert found.startswith("--set seed: not YAML")


# -- the network's file


def test_a_network_of_another_file():
    made = load(
        COMMANDS, network=COMMANDS.parent / "networks" / "chain.yaml", sets=["network.nodes.1.count=4"]
    )
    assert made.problems == []


def test_a_mistake_in_the_network_is_at_its_file(tmp_path):
    (tmp_path / "net.yaml").write_text("driver: local\nnodes: {cuont: 3, use: devnet}\n")
    main = tmp_path / "x.yaml"
    main.write_text("seatrial: 1\nnetwork: net.yaml\nseeed: 1\n")
    found = [str(p).replace(str(tmp_path), "") for p in load(main).problems]
    assert found == [
        "/x.yaml:3:1: unknown key 'seeed'; did you mean 'seed'?",
        "/net.yaml:2:9: unknown key 'cuont' in a group of nodes; did you mean 'count'?",
    ]


def test_a_network_given_instead(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("driver: local\nnodes: {count: 3, use: devnet}\n")
    made = good(scenario(step=STEP), network=str(other))
    assert len(made.network.groups[0].members) == 3
    assert bad(scenario(), network="nowhere.yaml") == [
        "--network: 'nowhere.yaml' cannot be read: No such file or directory"
    ]


def test_a_folder_of_bugs_is_found_from_the_file_or_from_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "file" / "mine").mkdir(parents=True)
    main = tmp_path / "file" / "x.yaml"
    main.write_text(scenario(network=NETWORK.replace("}}", ", bugs: own, bugs_path: mine}}")))
    monkeypatch.chdir(tmp_path)
    assert load(main).scenario.network.groups[0].bugs_path == str(tmp_path / "file" / "mine")
    swapped = load(main, sets=["network.nodes.bugs_path=here"])
    assert swapped.scenario.network.groups[0].bugs_path == str(tmp_path / "here")


# -- other ways in


def test_a_file_that_is_not_there():
    assert [str(p) for p in load("nowhere.yaml").problems] == [
        "nowhere.yaml: cannot be read: No such file or directory"
    ]


def test_an_empty_file(tmp_path):
    (tmp_path / "x.yaml").write_text("# nothing\n")
    (problem,) = load(tmp_path / "x.yaml").problems
    assert "the file is empty" in problem.message


def test_the_hash_is_the_files():
    import hashlib

    assert load(COMMANDS).scenario.sha256 == hashlib.sha256(COMMANDS.read_bytes()).hexdigest()


def test_a_step_keeps_its_line():
    made = load(COMMANDS).scenario
    assert made.timeline[0].line == 6
