"""Reads JSON of a door's far side with types, in one place: a missing or odd member is an empty value (pure)."""

from __future__ import annotations

from typing import cast


class Record:
    """One JSON object; whatever is not an object reads as an empty one."""

    __slots__ = ("_members",)

    def __init__(self, value: object) -> None:
        self._members = cast("dict[str, object]", value) if isinstance(value, dict) else dict[str, object]()

    def get(self, key: str) -> object:
        """The member as it is, or None."""
        return self._members.get(key)

    def text(self, key: str) -> str:
        """A string member."""
        value = self._members.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """An integer member, also one written as a string."""
        value = self._members.get(key)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        return value if isinstance(value, int) else 0

    def flag(self, key: str) -> bool:
        """A boolean member."""
        return self._members.get(key) is True

    def record(self, key: str) -> Record:
        """An object member."""
        return Record(self._members.get(key))

    def records(self, key: str) -> tuple[Record, ...]:
        """A list member's objects."""
        return tuple(Record(value) for value in items_of(self._members.get(key)))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list member's strings; a string alone is a list of one."""
        value = self._members.get(key)
        if isinstance(value, str):
            return (value,)
        return tuple(item for item in items_of(value) if isinstance(item, str))

    def strings(self) -> dict[str, str]:
        """The members that are strings."""
        return {key: value for key, value in self._members.items() if isinstance(value, str)}

    def members(self) -> dict[str, object]:
        """All members as they are, for whoever reads them with types of its own."""
        return dict(self._members)

    def keys(self) -> tuple[str, ...]:
        """The members' names."""
        return tuple(self._members)


def items_of(value: object) -> list[object]:
    """A JSON list's items; none for whatever is not a list."""
    return cast("list[object]", value) if isinstance(value, list) else []


def listed_of(value: object) -> tuple[Record, ...]:
    """The items of an answer that is a list: what is none does not say that there is nothing.

    Raises:
        ValueError: it is no list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast("list[object]", value)):
        raise ValueError("the answer is no list")
    return tuple(Record(item) for item in cast("list[object]", value))
