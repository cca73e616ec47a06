"""Known bugs of the built-in network, one file each: the proof that the oracle can fail a network.

A file declares its bug with ``bug(name=…)`` on a class that overrides methods of the core; ``build`` lays the
wanted ones over it. A folder of one's own (``bugs_path``) adds more files of the same kind.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from runner.devnet.config import BadConfig, Config
from runner.devnet.core import Core

_T = TypeVar("_T", bound=type[Core])


@dataclass(frozen=True)
class Bug:
    """A known bug.

    ``caught_by`` is the scenario whose expectation (a predicate's text) it violates, with a reason that
    contains ``reason_has``.
    """

    name: str
    about: str
    caught_by: str
    expectation: str
    reason_has: str
    core: type[Core]


_declared: dict[str, Bug] = {}


def bug(*, name: str, about: str, caught_by: str, expectation: str, reason_has: str) -> Callable[[_T], _T]:
    """Declares the decorated subclass of ``Core`` to be a known bug.

    Raises ``BadConfig`` for a name that is taken.
    """

    def declare(core: _T) -> _T:
        if name in _declared:
            raise BadConfig(f"two bugs are called {name!r}")
        _declared[name] = Bug(name, about, caught_by, expectation, reason_has, core)
        return core

    return declare


def _load_shipped() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def _load_folder(folder: str) -> dict[str, Bug]:
    path = Path(folder)
    if not path.is_dir():
        raise BadConfig(f"bugs_path: there is no folder {folder}")
    found: dict[str, Bug] = {}
    for file in sorted(path.glob("*.py")):
        before = dict(_declared)
        try:
            spec = importlib.util.spec_from_file_location(f"devnet_bug_{file.stem}", file)
            if spec is None or spec.loader is None:
                raise BadConfig("it cannot be imported")
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
            fresh = {name: one for name, one in _declared.items() if name not in before}
            if not fresh:
                raise BadConfig("it declares no bug")
        except (Exception, SystemExit) as why:  # a stranger's file may fail in any way
            kind = "" if isinstance(why, BadConfig) else f"{type(why).__name__}: "
            text = f"bugs_path: {file}: {kind}{why}"
            raise BadConfig(" ".join(text.split())) from None
        finally:
            _declared.clear()
            _declared.update(before)
        found.update(fresh)
    return found


def catalogue(path: str | None = None) -> Mapping[str, Bug]:
    """All known bugs by name, sorted; ``path`` is a folder with more. Raises ``BadConfig``."""
    _load_shipped()
    found = dict(_declared)
    if path is not None:
        found.update(_load_folder(path))
    return MappingProxyType(dict(sorted(found.items())))


def as_json(path: str | None = None) -> dict[str, Any]:
    """The catalogue as ``{"bugs": [{name, about, caught_by, expectation, reason_has}]}``."""
    keys = ("name", "about", "caught_by", "expectation", "reason_has")
    return {"bugs": [{key: getattr(one, key) for key in keys} for one in catalogue(path).values()]}


def build(config: Config) -> type[Core]:
    """The core with the bugs that the configuration names. Raises ``BadConfig`` for an unknown one."""
    if not config.bugs:
        return Core
    known = catalogue(config.bugs_path)
    for name in config.bugs:
        if name not in known:
            raise BadConfig(f"there is no bug {name!r}; known are {', '.join(known)}")
    bases = tuple(dict.fromkeys(known[name].core for name in config.bugs))
    return bases[0] if len(bases) == 1 else type("BuggyCore", bases, {})
