"""The difference between "leave it" and "clear it"."""

from __future__ import annotations

import enum
from typing import Any, Final, Literal


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`."""

    NOT_GIVEN = 'NOT_GIVEN'

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return 'NOT_GIVEN'


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""The value of an argument that was left out, where None means something: None clears a field."""

Timeout = float | None | NotGiven
"""Seconds; None waits for ever; NOT_GIVEN takes the client's."""


def given(**values: Any) -> dict[str, Any]:
    """Those of the arguments that were given."""
    return {name: value for name, value in values.items() if value is not NOT_GIVEN}
