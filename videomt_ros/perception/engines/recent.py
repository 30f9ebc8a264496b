"""A few things that are costly to make, the least recently used of which goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar('Key', bound=Hashable)
Value = TypeVar('Value')


class Recent(Generic[Key, Value]):
    """
    Keeps what was made for the latest keys.

    :param size: how many at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """
        Give what belongs to a key, making it if it is not there.

        :param key: any.
        :param make: called where it is missing, before the oldest is dropped.
        :returns: the value.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            self._kept[key] = make()
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return self._kept[key]
