"""The network of a scenario: where nodes live, groups and what their members are, set-up, how facts are
asked for.

Belongs here: the fields of ``network`` and what must hold within it. Carrying any of it out is a driver's
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from faults.fields import Duration, DurationField, Targets, as_list
from runner.predicates.bounds import COUNTED_FACTS, GRAPH_FACTS
from runner.scenario import later
from runner.scenario.groups import Grouped, GroupFields, read_groups
from runner.scenario.mentions import Context, collect
from runner.scenario.model import Group, Network, Observe, Setup
from runner.scenario.parameters import listed
from runner.scenario.problems import Loc, misspelt, near, nearest_or_all
from runner.scenario.reading import Fields, fill
from runner.scenario.words import FactName, PortField, Word, as_words

DRIVERS = ("local",)
NETWORK_KEYS = ("driver", "nodes", "setup", "observe", "units", "quorum", "links")
DEFAULT_LAYER_S = 1.0
KERNEL_FACTS = frozenset({*GRAPH_FACTS, "degree", "restarts"})
"""Facts that need no cooperation of the network."""
COUNTED_FROM = frozenset({"height", "head", "finalized"})
"""Facts that others are counted from."""


class SetupFields(Fields, Targets):
    """One thing done before the first start: a command (``run``, its output kept under ``save``) or a copy
    (``copy`` to ``to``).

    With targets once for each of those nodes, inside its network; else once for all. What ``save: id`` keeps
    is ``$id`` in commands, and ``$n1.id`` for another node's. A command that fails ends the run.
    """

    run: list[Word] | None = None
    save: FactName | None = None
    copy_: Word | None = Field(default=None, alias="copy")
    to: Word | None = None


class ObserveFields(Fields):
    """How facts are asked for: a preset (``use``), or a path (``http``) and where each fact stands in the
    JSON answer.

    ``{http: /status, ports: {rpc: 8000}, facts: {height: chain.height}}`` asks each node, inside its own
    network, at http://127.0.0.1:8000/status: the program must listen there (or on all addresses, not on
    ``$address`` alone). The first of ``ports`` is asked, ``every`` 500ms where nothing else is said. A part
    of a place is a key or an index (``peers.0.id``); digits in quotes count as a number, a list as its
    length.
    Without ``observe`` there are the facts that need no answer (see 'facts').
    """

    short: ClassVar[str | None] = "use"
    use: str | None = None
    http: Annotated[str, Field(pattern=r"^/\S*$")] | None = None
    ports: dict[str, PortField] | None = None
    facts: dict[FactName, Annotated[str, Field(min_length=1)]] | None = None
    every: DurationField | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value


class NetworkFields(Fields):
    """Where nodes live and what they are.

    ``nodes`` is one group or a list of groups. ``setup`` is done before the first start, ``observe`` says how
    facts are asked for. ``units: {epoch: 30s}`` names times of the protocol for durations and moments.
    ``quorum`` is the share of the stake above which nodes can decide; it gives 'f' its size.
    """

    driver: Literal["local"]
    nodes: Annotated[
        list[GroupFields],
        BeforeValidator(as_list, json_schema_input_type=GroupFields | list[GroupFields]),
        Field(min_length=1),
    ]
    setup: (
        Annotated[
            list[SetupFields],
            BeforeValidator(as_list, json_schema_input_type=SetupFields | list[SetupFields]),
        ]
        | None
    ) = None
    observe: ObserveFields | None = None
    units: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]+$")], DurationField] | None = None
    quorum: Literal["2/3", "1/2"] = "2/3"


@dataclass(frozen=True)
class Read:
    """What was read of a network. ``complete``: all nodes are known; ``facts`` None: what can be observed is
    not.
    """

    network: Network | None
    groups: tuple[Grouped, ...] = ()
    complete: bool = False
    units: Mapping[str, float] | None = None
    facts: frozenset[str] | None = None
    quorum: float = 2 / 3


def read_network(raw: Any, loc: Loc, context: Context) -> Read:
    """The network at ``loc``, as far as it can be read; problems go to the context's report."""
    if not isinstance(raw, dict):
        if raw is not None:
            context.report.add(
                loc, "the network is a mapping (driver, nodes, …) or the name of a file that holds one"
            )
        return Read(None)
    driver = _driver(raw, loc, context)
    groups, all_read = read_groups(raw.get("nodes"), (*loc, "nodes"), driver, context)
    units = _units(raw.get("units"), (*loc, "units"), groups, context)
    observe, facts = _observe(raw.get("observe"), (*loc, "observe"), groups, driver, context)
    setup = _setup(raw.get("setup"), (*loc, "setup"), context)
    quorum = _quorum(raw, loc, context)
    _keys(raw, loc, driver or "", context)
    complete = driver in DRIVERS and all_read and bool(groups)
    network = None
    if complete and observe is not None and all(g.made is not None for g in groups):
        made = tuple(g.made for g in groups if g.made is not None)
        network = Network(driver or "", made, setup, observe, units, quorum)
    return Read(network, groups, complete, units, facts if driver in DRIVERS else None, quorum)


def _driver(raw: Mapping[str, Any], loc: Loc, context: Context) -> str | None:
    driver = raw.get("driver")
    if driver is None:
        if "driver" not in raw and not misspelt("driver", raw, NETWORK_KEYS):
            context.report.add(loc, "'driver' is missing in the network: write driver: local")
        return None
    if driver in later.DRIVERS:
        context.report.add((*loc, "driver"), later.not_built(f"driver '{driver}'"))
    elif driver not in DRIVERS:
        known = [*DRIVERS, *later.DRIVERS]
        context.report.add(
            (*loc, "driver"), f"'{driver}' is no driver ({', '.join(known)}){near(str(driver), known)}"
        )
        return "local" if near(str(driver), known) == "; did you mean 'local'?" else None
    return str(driver)


def _keys(raw: Mapping[str, Any], loc: Loc, driver: str, context: Context) -> None:
    """Unknown keys, and those of what is not built; a driver of a later version may have keys of its own."""
    if "nodes" not in raw and not misspelt("nodes", raw, NETWORK_KEYS):
        context.report.add(loc, "'nodes' is missing in the network: write nodes: {count: 9, use: devnet}")
    for key in raw:
        if key == "links":
            context.report.add(
                (*loc, key), later.not_built("'links' (delay, loss and rate between nodes)"), key=True
            )
        elif key in later.DRIVER_KEYS:
            if driver in DRIVERS:
                message = f"'{key}' belongs to another driver than {driver}, which is {later.NOT_BUILT}"
                context.report.add((*loc, key), message, key=True)
        elif key not in NETWORK_KEYS:
            hint = nearest_or_all(key, NETWORK_KEYS)
            context.report.add((*loc, key), f"unknown key '{key}' in the network{hint}", key=True)


def _units(raw: Any, loc: Loc, groups: tuple[Grouped, ...], context: Context) -> dict[str, float]:
    """Each unit in seconds; a unit may be so many of another. The built-in network brings ``layer``."""
    units: dict[str, float] = {}
    if any(g.use == "devnet" for g in groups):
        units["layer"] = next(
            (g.layer.seconds() for g in groups if g.layer and not g.layer.is_protocol), DEFAULT_LAYER_S
        )
    if raw is None:
        return units
    fields = fill(_UnitFields, {"units": raw}, loc[:-1], context.report)
    written = dict(fields.units) if fields is not None else {}
    for name in list(written):
        if name in ("ms", "s", "m", "h", "min", "sec") or name.rstrip("s") in ("block", "height"):
            context.report.add((*loc, name), f"'{name}' cannot be a unit of the protocol", key=True)
            del written[name]
        elif written[name].value <= 0:
            context.report.add((*loc, name), f"a unit must be longer than nothing, not {written[name]}")
            del written[name]
    while written:
        ready = {n: d for n, d in written.items() if not d.is_protocol or _unit(d, units) is not None}
        if not ready:
            for name, duration in written.items():
                hint = near(duration.unit, [*units, *written])
                context.report.add(
                    (*loc, name), f"'{duration}': there is no unit '{duration.unit}' to count in{hint}"
                )
            break
        for name, duration in ready.items():
            units[name] = duration.seconds(units)
            del written[name]
    return units


class _UnitFields(Fields):
    units: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]+$")], DurationField]


def _unit(duration: Duration, units: Mapping[str, float]) -> float | None:
    try:
        return duration.seconds(units)
    except KeyError:
        return None


def _observe(
    raw: Any, loc: Loc, groups: tuple[Grouped, ...], driver: str | None, context: Context
) -> tuple[Observe | None, frozenset[str] | None]:
    """How facts are asked for, and which there are (None: not known)."""
    from runner.observers.observer import catalogue

    presets = catalogue()
    if raw is None:
        if groups and all(g.use == "devnet" for g in groups) and "devnet" in presets:
            return Observe(use="devnet"), _known(frozenset(presets["devnet"].facts))
        return Observe(), KERNEL_FACTS if driver in DRIVERS else None
    if isinstance(raw, dict):
        for key in later.OBSERVE_KEYS:
            if key in raw:
                context.report.add((*loc, key), later.not_built(f"'{key}' in 'observe'"), key=True)
        raw = {k: v for k, v in raw.items() if k not in later.OBSERVE_KEYS}
    fields = fill(ObserveFields, raw, loc, context.report, what="'observe'")
    if fields is None:
        return None, None
    collect(fields, raw, loc, context)
    use = fields.use
    where = (*loc, "use") if isinstance(raw, dict) else loc
    if use is not None and use not in presets:
        if use in later.PRESETS:
            context.report.add(where, later.not_built(f"observer '{use}'"))
        else:
            known = [*presets, *later.PRESETS]
            context.report.add(where, f"'{use}' is no observer ({', '.join(presets)}){near(use, known)}")
        return None, None
    _one_way(fields, loc, groups, context)
    ports = fields.ports or next((dict(g.made.ports) for g in groups if g.made and g.made.ports), {})
    observe = Observe(
        use, fields.http, ports if fields.http else fields.ports or {}, fields.facts or {}, fields.every
    )
    own = frozenset(presets[use].facts) if use is not None else frozenset(fields.facts or ())
    return observe, _known(own)


def _known(own: frozenset[str]) -> frozenset[str]:
    """What may be asked for where nodes report ``own``."""
    counted = frozenset({*COUNTED_FACTS, "height"}) if own & COUNTED_FROM else frozenset()
    return own | KERNEL_FACTS | counted


def _one_way(fields: ObserveFields, loc: Loc, groups: tuple[Grouped, ...], context: Context) -> None:
    if fields.use is None and fields.http is None:
        context.report.add(loc, "'observe' needs a preset ('use') or 'http' with 'facts'")
    elif fields.use is not None and fields.http is not None:
        context.report.add((*loc, "http"), "'use' and 'http' in one 'observe': one of them", key=True)
    elif fields.http is not None:
        if not fields.facts:
            context.report.add(
                loc, "'http' needs 'facts': where each stands in the answer, {height: result.height}"
            )
        if not fields.ports and not any(g.made and g.made.ports for g in groups):
            context.report.add(loc, "'http' needs 'ports': which one is asked, {rpc: 26657}")
    elif fields.facts:
        context.report.add((*loc, "facts"), "'facts' go with 'http'; a preset has its own", key=True)


def _setup(raw: Any, loc: Loc, context: Context) -> tuple[Setup, ...]:
    out = []
    for index, one in enumerate(listed(raw)):
        where = (*loc, index) if isinstance(raw, list) else loc
        if not isinstance(one, dict):
            context.report.add(
                where, "a set-up step is a mapping: {run: [word, …]} or {copy: FROM, to: PATH}"
            )
            continue
        words = as_words(one, where, ("run", "copy", "to"), context)
        fields = fill(SetupFields, words, where, context.report, what="'setup'")
        if fields is None:
            continue
        collect(fields, words, where, context)
        _setup_form(fields, one, where, context)
        chosen = {n: getattr(fields, n) for n in fields.model_fields_set if n in Targets.model_fields}
        targets = Targets(**chosen) if chosen else None
        out.append(Setup(tuple(fields.run or ()), fields.save, fields.copy_, fields.to, targets))
    return tuple(out)


def _setup_form(fields: SetupFields, raw: Mapping[str, Any], loc: Loc, context: Context) -> None:
    if (fields.run is None) == (fields.copy_ is None):
        context.report.add(loc, "a set-up step is either 'run' or 'copy' with 'to'")
    elif fields.run is None and fields.to is None:
        context.report.add(loc, "'copy' needs 'to': where the copy goes")
    elif fields.run is not None and fields.to is not None:
        context.report.add((*loc, "to"), "'to' belongs to 'copy'", key=True)
    elif fields.run is not None and not fields.run:
        context.report.add((*loc, "run"), "an empty command")
    elif fields.save is not None and fields.run is None:
        context.report.add((*loc, "save"), "'save' keeps what 'run' wrote; there is none", key=True)
    for key in ("where", "pick", "by"):
        if key in raw:
            context.report.add((*loc, key), f"'{key}' has no meaning before the network runs", key=True)


def _quorum(raw: Mapping[str, Any], loc: Loc, context: Context) -> float:
    written = raw.get("quorum", "2/3")
    if written not in ("2/3", "1/2"):
        context.report.add((*loc, "quorum"), "the quorum is 2/3 or 1/2 (more than that decides)")
    return 1 / 2 if written == "1/2" else 2 / 3


def members(groups: tuple[Grouped, ...]) -> tuple[Group, ...]:
    """The groups that could be made."""
    return tuple(g.made for g in groups if g.made is not None)
