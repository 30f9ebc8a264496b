"""A few families of things that are costly to make; the least recently used one goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar('Key', bound=Hashable)
Value = TypeVar('Value')


class Recent(Generic[Key, Value]):
    """
    Keeps what was made for the latest keys.

    :param size: how many families at most, however many belong to one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, dict[Key, Value]] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value], family: Hashable = None) -> Value:
        """
        Give what belongs to a key, making it if it is not there.

        :param key: any.
        :param make: called where it is missing, before the oldest family is dropped.
        :param family: of the key, always the same; None where it is alone.
        :returns: the value.
        """
        family = (key,) if family is None else family
        members = self._kept.get(family, {})
        if key not in members:
            members[key] = make()
        self._kept[family] = members
        self._kept.move_to_end(family)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return members[key]
