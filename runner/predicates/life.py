"""Predicates on processes and their logs."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from faults.fields import problem
from runner.predicates.scoped import Scoped
from runner.predicates.share import ShareField


def _expression(value: Any) -> Any:
    if isinstance(value, str):
        try:
            re.compile(value)
        except re.error as e:
            raise problem("regex", "{v} is not a regular expression: {e}", v=repr(value), e=str(e)) from None
    return value


class Up(Scoped, name="up"):
    """The targets run and answer. Nodes named by target fields count as not up while a fault has them down."""


class NoCrash(Scoped, name="no_crash"):
    """No process of a target ended that no fault ended."""

    cumulative: ClassVar[bool] = True


class Log(Scoped, name="log", short="text"):
    """A line with ``text``, or one that the expression ``match`` finds, was logged since the window opened.

    By one target at least (``share: any``, unlike elsewhere), so that ``not`` means: by nobody.
    """

    cumulative: ClassVar[bool] = True
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    match: Annotated[str, BeforeValidator(_expression), Field(min_length=1, max_length=500)] | None = None
    share: ShareField = "any"

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        if (self.text is None) == (self.match is None):
            raise problem("log", "log takes a text, or 'match' with a regular expression: one of them")
        return self

    @property
    def pattern(self) -> str:
        """The declared text or expression, as it stands in ``log`` events of the journal."""
        return self.text if self.text is not None else str(self.match)

    @property
    def expression(self) -> str:
        """The regular expression to watch logs for."""
        return re.escape(self.text) if self.text is not None else str(self.match)
