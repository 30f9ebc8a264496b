"""
What the numbers of a class head mean: the class lists of the data sets, JSON files in `classes/`.

A list stands in the order of the class head: the instance data sets by category id, VIPSeg and
VSPW with their 58 things first and their 66 stuff classes after them.  The Hugging Face ports of
these two carry the names in the order of the raw ids instead, which names nearly every class
wrongly; :func:`names_for` notices and corrects it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
import json
import logging
import re

CLASS_LISTS = ('ytvis2019', 'ytvis2021', 'ytvis2022', 'ovis', 'vipseg', 'vspw')

# Where a file names no data set, the number of classes tells it; 40 could be either YouTube-VIS.
_BY_NUMBER = {25: 'ovis', 124: 'vipseg'}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassList:
    """
    The classes of one data set, in the order of the class head.

    :param key: short name, one of `CLASS_LISTS`.
    :param title: the data set's own name.
    :param source: where names and order come from.
    :param names: K names.
    :param num_things: the first so many classes are countable things, the rest is stuff.
    :param raw_ids: id of each class in the data set's own numbering, where that is another.
    """

    key: str
    title: str
    source: str
    names: tuple[str, ...]
    num_things: int
    raw_ids: tuple[int, ...] | None = None

    @property
    def thing_classes(self) -> frozenset[int]:
        """Give the indices of the classes that are things."""
        return frozenset(range(self.num_things))

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Give the names in the data set's own numbering."""
        if self.raw_ids is None:
            return self.names
        return tuple(name for _, name in sorted(zip(self.raw_ids, self.names, strict=True)))


@cache
def load_class_list(key: str) -> ClassList:
    """
    Read the class list of a data set.

    :param key: one of `CLASS_LISTS`.
    :returns: the list.
    :raises ValueError: for another key.
    """
    if key not in CLASS_LISTS:
        raise ValueError(f'no class list {key!r}; expected one of {", ".join(CLASS_LISTS)}')
    file = resources.files(__package__) / 'classes' / f'{key}.json'
    record = json.loads(file.read_text(encoding='utf-8'))
    title, source = record['title'], record['source']
    if 'same_as' in record:
        same = load_class_list(record['same_as'])
        return ClassList(key, title, source, same.names, same.num_things, same.raw_ids)
    raw_ids = record.get('raw_ids')
    return ClassList(key, title, source, tuple(record['names']), record['num_things'],
                     None if raw_ids is None else tuple(raw_ids))


def names_for(
    num_classes: int,
    own_names: Sequence[str] | None = None,
    own_things: Collection[int] | None = None,
    dataset: str | None = None,
    source: str = '',
) -> tuple[tuple[str, ...], frozenset[int]]:
    """
    Decide how the classes of a checkpoint are called, and which of them are things.

    Its own names win when they fit: one for each class, and not the `LABEL_3` that transformers
    writes for want of better.  Next comes the data set's list, then the one that the number of
    classes points to, then plain numbers.

    :param num_classes: K, the classes of the head without no-object.
    :param own_names: names that the checkpoint carries, by class index.
    :param own_things: indices of things that the checkpoint carries.  Only this package writes
        them, beside names that stand in the right order, so these are then left as they are.
    :param dataset: key of the class list that the weights were trained on, where it is known.
    :param source: the checkpoint's name, for the log.
    :returns: the K names, and the indices of things; without any other hint every class is one.
    :raises ValueError: for an unknown data set.
    """
    listed = load_class_list(dataset) if dataset is not None else None
    if own_names is not None and _fits(own_names, num_classes):
        names = tuple(own_names)
        if own_things is not None:
            return names, frozenset(own_things)
        return _known_names(names, source)
    if listed is None or len(listed.names) != num_classes:
        if num_classes not in _BY_NUMBER:
            _log.warning('%s: its %d classes have no names; calling them by number',
                         source or 'checkpoint', num_classes)
            everything = frozenset(range(num_classes))
            return (tuple(f'class {index}' for index in range(num_classes)),
                    everything if own_things is None else frozenset(own_things))
        listed = load_class_list(_BY_NUMBER[num_classes])
        _log.warning('%s: its %d classes have no names; taking those of %s',
                     source or 'checkpoint', num_classes, listed.title)
    things = listed.thing_classes if own_things is None else frozenset(own_things)
    return listed.names, things


def _fits(names: Sequence[str], num_classes: int) -> bool:
    placeholders = all(re.fullmatch(r'LABEL_\d+', name) for name in names)
    return len(names) == num_classes and all(names) and not placeholders


def _known_names(names: tuple[str, ...], source: str) -> tuple[tuple[str, ...], frozenset[int]]:
    for listed in map(load_class_list, CLASS_LISTS):
        if names == listed.names:
            return names, listed.thing_classes
        if names == listed.raw_names:
            _log.warning(
                '%s: its class names stand in the order of the raw %s ids, not in that of the '
                'class head; corrected', source or 'checkpoint', listed.title)
            return listed.names, listed.thing_classes
    return names, frozenset(range(len(names)))
