"""Every mistake that the language names: one problem, at the right line and column, in words that help.

In the texts ``«`` stands before the place where the problem must be.
"""

from __future__ import annotations

import pytest
from scenario_texts import NETWORK, marked, scenario

from runner.scenario import load

SPLIT = "{at: 10s, for: 20s, partition: halves, name: split}"
TWO = "network:\n  driver: local\n  nodes:\n    - {group: a, names: a, count: 2, use: devnet}\n"

STEPS = {
    "unknown fault": ("{at: 1s, for: 5s, «kil: {pick: 1}}", "did you mean 'kill'?"),
    "unknown key of a step": ("{at: 1s, «fro: 5s, kill: n1}", "did you mean 'for'?"),
    "unknown key of a fault": ("{at: 1s, for: 5s, kill: {«pik: 1}}", "did you mean 'pick'?"),
    "field beside its fault": ("{at: 1s, for: 5s, kill: {pick: 1}, «wipe: true}", "goes inside it"),
    "key given twice": ("{at: 1s, for: 5s, «for: 6s, kill: n1}", "given twice, first on line 4"),
    "unit missing": ("{at: 1s, for: «5, kill: n1}", "did you mean 5s?"),
    "unit of another language": ("{at: 1s, for: «5sec, kill: n1}", "did you mean 5s?"),
    "two units": ("{at: 1s, for: «1m30s, kill: n1}", "not a time"),
    "minutes and seconds": ("{at: «12:30, for: 5s, kill: n1}", "not a time"),
    "unknown protocol unit": ("{at: 1s, for: «2 layrs, kill: n1}", "did you mean 'layers'?"),
    "blocks as time": ("{at: 1s, for: «10 blocks, kill: n1}", "halted chain"),
    "no sign": ("{at: 1s, for: 5s, clock: {offset: «30s}}", "sign"),
    "no unit of drift": ("{at: 1s, for: 5s, clock: {drift: «500}}", "+500ppm"),
    "range upside down": ("{at: 1s, for: 5s, clock: {offset: «+2s..-2s}}", "lower end comes first"),
    "strobe without every": ("{at: 1s, for: 5s, clock: «{strobe: 200ms}}", "every"),
    "yes for true": ("{at: 1s, for: 5s, kill: {of: n1, wipe: «yes}}", "true or false"),
    "on for true": ("{at: 1s, for: 5s, clock: {freeze: «on}}", "true or false"),
    "unknown shape": ("{at: 1s, for: 5s, partition: «halvs}", "did you mean 'halves'?"),
    "unknown word of an amount": ("{at: 1s, for: 5s, kill: {pick: «most}}", "minority, majority"),
    "rest outside of sides": ("{at: 1s, for: 5s, kill: {pick: «rest}}", "rest"),
    "unknown order": (
        "{at: 1s, for: 20s, heal: {over: 5s, order: «sorted}, isolate: {pick: 2}}",
        "random, listed, reverse",
    ),
    "unknown node": ("{at: 1s, for: 5s, kill: [n1, «n9]}", "no node, group or step 'n9'"),
    "unknown group": ("{at: 1s, for: 5s, kill: {of: «node}}", "did you mean 'nodes'?"),
    "pattern that fits nobody": ("{at: 1s, for: 5s, kill: «v*}", "begins with 'v'"),
    "pattern of another kind": ("{at: 1s, for: 5s, kill: «n?}", "a pattern is"),
    "nobody": ("{at: 1s, for: 5s, kill: {pick: «0}}", "nobody"),
    "a share that is nobody": ("{at: 1s, for: 5s, kill: {of: n1, pick: «30%}}", "nobody"),
    "more than there are": ("{at: 1s, for: 5s, kill: {pick: «9}}", "only 5"),
    "everybody by pick": ("{at: 1s, for: 5s, kill: {pick: «5}}", "leave 'pick' out"),
    "a zone that nobody is in": ("{at: 1s, for: 5s, kill: «{zone: mars}}", "nobody"),
    "a node on no side": ("{at: 1s, for: 5s, partition: {sides: «[1, 2]}}", "no side"),
    "a node on two sides": ("{at: 1s, for: 5s, partition: {sides: «{x: n1, y: [n1, n2], z: rest}}}", "n1"),
    "no short form": ("{at: 1s, for: 5s, eclipse: «n1}", "takes a mapping of its fields: {of, peers"),
    "a list that is too short": ("{at: 1s, for: 5s, cut: {between: «[n1]}}", "item 2 is missing"),
    "no time": ("{at: 1s, «kill: n1}", "say 'for' how long"),
    "until without for": ("{at: 1s, until: height >= 9, «kill: n1}", "'for'"),
    "time of what is momentary": ("{at: 1s, «for: 5s, restart: n1}", "over at once"),
    "flap of what is momentary": ("{at: 1s, «flap: 5s, restart: n1}", "over at once"),
    "two faults": ("{at: 1s, for: 5s, kill: n1, «pause: n2}", "one fault a step"),
    "no fault": ("«{at: 1s, for: 5s}", "needs one fault"),
    "no moment": ("«{for: 5s, kill: n1}", "'at'"),
    "when without within": ("{«when: height >= 3, for: 5s, kill: n1}", "'within'"),
    "within without when": ("{at: 1s, «within: 3s, for: 5s, kill: n1}", "'when'"),
    "not a mapping": ("«kill n1", "a step is a mapping"),
    "bad name": ("{at: 1s, for: 5s, kill: n1, name: «Big}", "is not written as"),
    "name of a node": ("{at: 1s, for: 5s, kill: n1, name: «n2}", "already the name of a node"),
    "reserved name": ("{at: 1s, for: 5s, kill: n1, name: «faults}", "word of the language"),
    "name of an amount": ("{at: 1s, for: 5s, kill: n1, name: «minority}", "word of the language"),
    "name of a unit": ("{at: 1s, for: 5s, kill: n1, name: «layer}", "word of the language"),
    "two moments": ("{at: «5s - 10s, for: 5s, kill: n1}", "two parts"),
    "unknown boundary": ("{at: «next epoch, for: 5s, kill: n1}", "no unit 'epoch'"),
    "own end": ("{at: «end of x, for: 5s, kill: n1, name: x}", "own time"),
    "own targets": ("{at: 1s, for: 5s, kill: «x, name: x}", "hits itself"),
    "lasts no time": ("{at: 1s, for: «0s, kill: n1}", "longer"),
    "flap that is always on": (
        "{at: 1s, for: 20s, flap: «{every: 4s, for: 4s}, kill: n1}",
        "less than 'every'",
    ),
    "flap longer than the step": ("{at: 1s, for: 3s, flap: «4s, kill: n1}", "longer than the step"),
    "trials overlap": ("{at: 1s, for: 30s, repeat: «{times: 3, every: 20s}, kill: n1}", "overlap"),
    "onset longer than the step": ("{at: 1s, for: 5s, onset: «5s, isolate: {pick: 2}}", "come in"),
    "roll and flap": ("{at: 1s, for: 5s, roll: 2s, «flap: 2s, kill: {pick: 2}}", "do not go together"),
    "roll by nothing": ("{at: 1s, for: 5s, «roll: {batch: 2}, kill: {pick: 2}}", "'roll' needs"),
    "roll without patience": ("{at: 1s, for: 5s, «roll: {next: synced}, kill: {pick: 2}}", "'within'"),
    "heal of what never ends": ("{at: 1s, for: rest, «heal: 5s, kill: {pick: 2}}", "never ends"),
    "fault of a later version": (
        "{at: 1s, for: 5s, «link: {of: n1, delay: 40ms}}",
        "'link' is not built yet",
    ),
    "bad fact in where": ("{at: 1s, for: 5s, kill: {where: «hight > 3}}", "did you mean 'height'?"),
    "bad predicate in until": ("{at: 1s, for: 5s, until: «conected, kill: n1}", "did you mean 'connected'?"),
    "braces around a parameter": ("{at: 1s, for: 5s, kill: '«${x}'}".replace("'«", "«'"), "write $name"),
    "unknown parameter": ("{at: 1s, for: «$lasting, kill: n1}", "no parameter 'lasting'"),
    "a lone dollar": ("{at: 1s, for: «5$, kill: n1}", "write $$"),
    "nothing behind a key": ("{at: 1s, for: 5s, kill: n1, «until: }", "no value"),
}

EXPECTATIONS = {
    "two phases": ("{after: split, «during: split, within: 3s, that: connected}", "one phase"),
    "no phase": ("«{within: 3s, that: connected}", "needs a phase"),
    "after without within": ("{«after: split, that: connected}", "'within'"),
    "unknown step": ("{during: «splt, that: connected}", "did you mean 'split'?"),
    "nothing that must hold": ("«{during: split}", "'that' is missing"),
    "before what": ("{before: «split, that: connected}", "write 'faults'"),
    "during all": ("{«during: faults, that: connected}", "a step's name"),
    "patience longer than the step": ("{during: split, within: «20s, that: connected}", "left to judge"),
    "always within": ("{always: connected, «within: 5s}", "'always' takes no 'within'"),
    "unknown predicate": ("{during: split, that: [«conected]}", "did you mean 'connected'?"),
    "unknown predicate with fields": ("{during: split, that: {«agre: head}}", "did you mean 'agree'?"),
    "unknown field": ("{during: split, that: {agree: {fact: head, «lags: 1}}}", "did you mean 'lag'?"),
    "missing field": ("{during: split, that: «agree}", "'fact' is missing"),
    "unknown fact": ("{during: split, that: {agree: «hed}}", "did you mean 'head'?"),
    "unknown fact in a bound": ("{during: split, that: «hight > 3}", "did you mean 'height'?"),
    "bad bound": ("{during: split, that: «height = 3}", "height"),
    "a time as a number": ("{during: split, that: «clock_error < 50}", "50ms"),
    "a number as a time": ("{during: split, that: «height >= 10s}", "is a number"),
    "two predicates in one item": (
        "{during: split, that: {connected: {of: n1}, «agree: head}}",
        "one predicate an item",
    ),
    "fields beside a predicate": ("{during: split, that: {agree: head, «of: n1}}", "go inside"),
    "pick in a predicate": ("{during: split, that: {connected: {«pick: 2}}}", "share"),
    "a fact as a predicate": ("{during: split, that: {«components: 2}}", "write a bound, 'components >= 3'"),
    "unknown share": ("{during: split, that: {is: synced, share: «half}}", "80%"),
    "unknown side": ("{during: split, that: {connected: {of: «split.c}}}", "no side 'c'"),
    "unknown trial": (
        "{«during: split.2, that: connected}".replace("«during: ", "during: «"),
        "not repeated",
    ),
    "unknown node": ("{during: split, that: {connected: {of: «n7}}}", "no node, group or step 'n7'"),
    "an empty list": ("{during: split, that: «[]}", "empty list"),
    "predicate of a later version": (
        "{during: split, that: {«serves: {load: x}}}",
        "'serves' is not built yet",
    ),
    "a share without percent": ("{during: split, missing: «10, that: connected}", "50%"),
    "despite in another phase": ("{during: split, «despite: split, that: connected}", "belongs to 'after'"),
    "bad expression": ("{during: split, that: {log: {match: «'a('}}}", "regular expression"),
    "not a mapping": ("«connected", "an expectation is a mapping"),
}

WHOLE = {
    "unknown top key": (scenario(more="«timelines: []\n"), "did you mean 'timeline'?"),
    "wrong version": ("seatrial: «2\n" + NETWORK, "seatrial: 1"),
    "no version": ("«" + NETWORK, "'seatrial: 1' is missing"),
    "no network": ("«seatrial: 1\ntimeline: []\n", "'network' is missing"),
    "not a mapping": ("«- seatrial\n", "a scenario is a mapping"),
    "workload": (scenario(more="«workload: [{name: x}]\n"), "not built yet"),
    "sweep": (scenario(more="«sweep: {x: [1]}\n"), "not built yet"),
    "gate": ("seatrial: 1\n«gate: x\nscenarios: []\n", "gate files are not built yet"),
    "unused parameter": (scenario(more="parameters: {«x: 1}\n"), "never used"),
    "parameter of a node's name": (
        scenario(more="parameters: {«name: n1}\nabout: $name\n"),
        "fact of a node",
    ),
    "unused definition": (scenario(more="define: {«x: connected}\n"), "never used"),
    "definition of itself": (
        scenario(more="define: {a: [b], b: «a}\nabort: [{when: a}]\n"),
        "defined by itself: a → b → a",
    ),
    "definition like a predicate": (scenario(more="define: {«up: connected}\n"), "name of a predicate"),
    "definition like a fact": (scenario(more="define: {«height: connected}\n"), "name of a fact"),
    "text cut by a comment": (scenario(more="about: «issue #7 again\n"), "the text ends before '#7"),
    "log text cut by a comment": (
        scenario(more="abort:\n  - when:\n      log: «block #7 refused\n"),
        "the text ends before '#7",
    ),
    "seed": (scenario(more="seed: «x\n"), "whole number"),
    "a name that is a path": (scenario(more="name: «../x\n"), "is not written as"),
    "hit": (scenario(more="limits: {hit: «40}\n"), "40%"),
    "unknown limit": (scenario(more="limits: {«tim: 4m}\n"), "did you mean 'time'?"),
    "a list that is none": (scenario(more="timeline: «{at: 1s}\n"), "is a list"),
    "an anchor": (scenario(more="seed: «&a 1\n"), "anchors and aliases"),
    "an alias": (scenario(more="about: «*a\n"), "anchors and aliases"),
    "a tag": (scenario(more="seed: «!!int 1\n"), "tags are not used"),
    "a merge key": (scenario(more="limits: {«<<: {}}\n"), "merge keys"),
    "two documents": (scenario(more="«---\nseatrial: 1\n"), "one document a file"),
    "a tab": (scenario(more="limits:\n«\ttime: 5m\n"), "tab"),
    "an open list": (scenario(more="abort: [{when: synced}\n«seed: 1\n"), "not closed"),
    "a step after the end": (
        scenario(step="{at: «5m, for: 5s, kill: n1}", more="limits: {time: 5m}\n"),
        "limits.time",
    ),
    "before the start": (
        scenario(step="{at: 5s, for: 5s, kill: n1, name: x}\n{at: «x - 10s, for: 5s, kill: n2}"),
        "5s before the steady state",
    ),
    "a circle": (
        scenario(
            step="{at: «y, for: 5s, kill: n1, name: x}\n{at: x, for: 5s, kill: n2, name: y}".replace(
                "«y", "y"
            ).replace("at: x,", "at: «x,")
        ),
        "in a circle: x → y → x",
    ),
    "after what never ends": (
        scenario(step="{at: 5s, for: rest, kill: n1, name: x}\n{at: «end of x, for: 5s, kill: n2}"),
        "to the end of the run",
    ),
    "recovery from what never ends": (
        scenario(
            step="{at: 5s, for: rest, kill: n1, name: x}", expect="{after: «x, within: 5s, that: synced}"
        ),
        "there is no 'after'",
    ),
    "recovery from nothing": (
        scenario(expect="{after: «faults, within: 5s, that: synced}"),
        "timeline is empty",
    ),
    "during what is momentary": (
        scenario(step="{at: 5s, restart: n1, name: x}", expect="{during: «x, that: synced}"),
        "over at once",
    ),
    "two steps of a name": (
        scenario(step="{at: 5s, restart: n1, name: x}\n{at: 9s, restart: n1, name: «x}"),
        "already the name of a step",
    ),
}

NETWORKS = {
    "driver of a later version": (
        "network: {driver: «docker, nodes: {group: a, find: {service: x}}}\n",
        "not built yet",
    ),
    "unknown driver": (
        "network: {driver: «lokal, nodes: {count: 3, use: devnet}}\n",
        "did you mean 'local'?",
    ),
    "no driver": ("network: «{nodes: {count: 3, use: devnet}}\n", "'driver' is missing"),
    "driver misspelt": (
        "network: {«drver: local, nodes: {count: 3, use: devnet}}\n",
        "did you mean 'driver'?",
    ),
    "no nodes": ("network: «{driver: local}\n", "'nodes' is missing"),
    "unknown key": ("network: {driver: local, «node: {count: 3, use: devnet}}\n", "did you mean 'nodes'?"),
    "key of another driver": (NETWORK.replace("}}", "}, «context: x}"), "not built yet"),
    "links": (NETWORK.replace("}}", "}, «links: []}"), "not built yet"),
    "count": ("network: {driver: local, nodes: {count: «nine, use: devnet}}\n", "whole number"),
    "count as text": ("network: {driver: local, nodes: {count: «'9', use: devnet}}\n", "without quotes"),
    "no nodes at all": ("network: {driver: local, nodes: {count: «0, use: devnet}}\n", ">= 1"),
    "neither use nor run": ("network: {driver: local, nodes: «{count: 3}}\n", "'use: devnet' or 'run'"),
    "use and run": ("network: {driver: local, nodes: {use: devnet, «run: [x]}}\n", "brings its own"),
    "unknown network": ("network: {driver: local, nodes: {use: «devnett}}\n", "'devnet'"),
    "two groups of a name": (
        TWO + "    - {group: «a, names: b, count: 2, use: devnet}\n",
        "already the name of a group",
    ),
    "two nodes of a name": (
        TWO + "    - {group: b, names: «a, count: 2, use: devnet}\n",
        "node 'a1' and 1 more",
    ),
    "names without count": (TWO + "    - «{group: b, names: b, use: devnet}\n", "add 'count'"),
    "zones that do not add up": (
        TWO + "    - {group: b, names: b, count: 3, use: devnet, zones: «{eu: 1, us: 1}}\n",
        "deals out 2",
    ),
    "stake of nothing": (
        TWO + "    - {group: b, names: b, count: 3, use: devnet, stake: «0}\n",
        "more than 0",
    ),
    "found nodes": (TWO + "    - {group: b, use: devnet, «find: {service: x}}\n", "not built yet"),
    "versions": (TWO + "    - {group: b, run: [x], «versions: {v2: {run: [y]}}}\n", "not built yet"),
    "observer of a later version": (NETWORK.replace("}}", "}, observe: «cometbft}"), "not built yet"),
    "unknown observer": (NETWORK.replace("}}", "}, observe: «devnt}"), "did you mean 'devnet'?"),
    "quorum": (NETWORK.replace("}}", "}, quorum: «3/4}"), "2/3 or 1/2"),
    "unit of a unit that is not there": (
        NETWORK.replace("}}", "}, units: {epoch: «4 lairs}}"),
        "no unit 'lairs'",
    ),
    "blocks as a unit": (NETWORK.replace("}}", "}, units: {«block: 4s}}"), "cannot be a unit"),
    "ready in two ways": (TWO + "    - {group: b, run: [x], «ready: {port: 80, log: x}}\n", "exactly one"),
    "a file outside": (TWO + "    - {group: b, run: [x], files: {«../x: y}}\n", "data folder"),
    "unknown word in a command": (TWO + "    - {group: b, run: [x, «$adress]}\n", "did you mean 'address'?"),
    "a port that is none": (TWO + "    - {group: b, run: [x], ports: {rpc: «70000}}\n", "65535"),
    "set-up of nothing": (NETWORK.replace("}}", "}, setup: [«{save: x}]}"), "'run' or 'copy'"),
    "a file that is not there": ("network: «nowhere.yaml\n", "cannot be read"),
}


def cases() -> dict[str, tuple[str, str]]:
    """Every text with what must be said of it."""
    out = {f"step: {k}": (scenario(step=step), said) for k, (step, said) in STEPS.items()}
    out |= {
        f"expectation: {k}": (scenario(step=SPLIT, expect=e), said) for k, (e, said) in EXPECTATIONS.items()
    }
    out |= {f"whole: {k}": v for k, v in WHOLE.items()}
    out |= {f"network: {k}": ("seatrial: 1\n" + network, said) for k, (network, said) in NETWORKS.items()}
    return out


@pytest.mark.parametrize("name", cases())
def test_says_what_is_wrong_and_where(name):
    text, said = cases()[name]
    plain, places = marked(text)
    loaded = load(plain, file="x.yaml")
    assert loaded.scenario is None
    found = [(p.line, p.column) for p in loaded.problems]
    assert found == places, "\n".join(map(str, loaded.problems))
    assert said in loaded.problems[0].message


def test_the_texts_around_the_mistakes_are_right():
    good = load(scenario(step=SPLIT, expect="{during: split, that: connected}"), file="x.yaml")
    assert good.problems == []


def test_a_file_full_of_mistakes(snapshot):
    text = """\
seatrial: 1
name: halves
sed: 7
network:
  driver: local
  nodes: {count: 9, use: devnet}
  nodes: {count: 3}
parameters: {lasting: 10s}
define:
  healthy: [connectd, {agree: head}]
timeline:
  - {at: 10s, for: 20sec, partition: halvs, name: split}
  - {at: 15s, for: 10s, clokc: {pick: 1, offset: +30s}}
  - {at: 40s, kill: {rolle: miner, pick: minority}, restart: 5s}
  - {at: 12:30, for: 3s, pause: {pick: 1}}
  - {at: 50s, for: 3s, partition: halves, kill: {pick: 1}}
  - at: 55s
    for: 5s
  - {at: 60s, for: 5s, clock: {pick: on, offset: 30s, drift: 1e3}}
  - {at: end of splt + 5s, for: 5s, pause: {of: n77, pick: 0}}
  - {at: split - 15s, for: 10 blocks, pause: n1}
expect:
  - {before: yes, that: [connected]}
  - {after: split, that: healthy}
  - {during: split, that: {agre: head}, hold: 3}
  - {always: {no_conflict: finalised}}
limits: {time: 30, hit: 40}
"""
    assert "\n".join(map(str, load(text, file="bad.yaml").problems)) == snapshot
