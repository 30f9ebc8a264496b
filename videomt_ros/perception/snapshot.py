"""
The memory of a segmenter as plain data, to go on later as if nothing had happened.

An object is written as the name of its class and its attributes, so that a task needs no code for
it. Reading it back runs no code that the data could choose: classes of the package are made empty
and their attributes set, everything else is numbers, texts, containers and tensors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
import enum
import importlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor
from videomt_ros.network import QueryState, VideoMT

from .segmenter import VideoSegmenter

_PACKAGES = ('videomt_ros.perception.', 'videomt_ros.network.')
_CONTAINERS: dict[str, Any] = {
    'list': list, 'tuple': tuple, 'deque': deque, 'set': set, 'frozenset': frozenset}


def take_snapshot(segmenter: VideoSegmenter) -> tuple[str, dict[str, Tensor]]:
    """
    Write down what a segmenter remembers of all cameras: queries, tracks, ids given so far.

    Settings and weights are not part of it.

    :param segmenter: between two frames.
    :returns: a JSON text, and the tensors that it names; independent of the segmenter.
    :raises TypeError: when a task remembers something that is no data.
    """
    writer = _Writer()
    text = json.dumps(writer.write(segmenter._cameras))
    return text, writer.tensors


def restore_snapshot(
    segmenter: VideoSegmenter, text: str, tensors: Mapping[str, Tensor],
) -> None:
    """
    Give a segmenter the memory of another one, which had the same weights and task.

    :param segmenter: what it remembers is replaced.
    :param text: of :func:`take_snapshot`.
    :param tensors: of :func:`take_snapshot`.
    :raises ValueError: when these are no snapshot.
    """
    reader = _Reader(segmenter.network, tensors)
    try:
        cameras = reader.read(json.loads(text))
    except (KeyError, TypeError, AttributeError, ImportError) as error:
        raise ValueError(f'this is no snapshot of a segmenter: {error!r}') from None
    segmenter._cameras = cameras


class _Writer:
    """Turns objects into JSON, each once however often it is referred to."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._known: dict[int, int] = {}
        self._alive: list[object] = []  # an id() is given again when its object is gone

    def write(self, value: Any) -> Any:
        """Give the JSON of a value: plain ones as they are, others as {kind: content}."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, enum.Enum):
            return {'enum': _class_name(value), 'value': value.value}
        if isinstance(value, (Tensor, np.ndarray, np.generic)):
            return self._array(value)
        if isinstance(value, dict):
            return {'dict': [[self.write(key), self.write(each)] for key, each in value.items()]}
        kind = type(value).__name__
        if _CONTAINERS.get(kind) is type(value):
            return {kind: [self.write(each) for each in value]}
        return self._object(value)

    def _array(self, value: Tensor | np.ndarray | np.generic) -> Any:
        name = str(len(self.tensors))
        if isinstance(value, Tensor):
            self.tensors[name] = value.detach().cpu().clone().contiguous()
            return {'tensor': name}
        self.tensors[name] = torch.from_numpy(np.array(value))
        return {'scalar' if isinstance(value, np.generic) else 'array': name}

    def _object(self, value: Any) -> Any:
        if isinstance(value, QueryState):  # its other half are the weights
            return {'queries': self.write(value.queries)}
        if id(value) in self._known:
            return {'again': self._known[id(value)]}
        number = self._known[id(value)] = len(self._known)
        self._alive.append(value)
        if not type(value).__module__.startswith(_PACKAGES):
            raise TypeError(f'a {_class_name(value)} is remembered, which is no data')
        return {'class': _class_name(value), 'number': number,
                'fields': [[key, self.write(each)] for key, each in vars(value).items()]}


def _class_name(value: Any) -> str:
    return f'{type(value).__module__}:{type(value).__qualname__}'


class _Reader:
    """Undoes what :class:`_Writer` did."""

    def __init__(self, network: VideoMT, tensors: Mapping[str, Tensor]) -> None:
        self._network = network
        self._tensors = tensors
        self._objects: dict[int, Any] = {}

    def read(self, data: Any) -> Any:
        """Give the value of some JSON."""
        if not isinstance(data, dict):
            return data
        if 'enum' in data:
            return self._class(data['enum'], enum.Enum)(data['value'])
        if 'dict' in data:
            return {self.read(key): self.read(each) for key, each in data['dict']}
        if 'again' in data:
            return self._objects[data['again']]
        if 'class' in data:
            return self._object(data)
        kind, content = next(iter(data.items()))
        if kind == 'queries':
            queries: Tensor = self.read(content).to(self._network.device)
            return QueryState(queries, self._network.queries)
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](self.read(each) for each in content)
        tensor = self._tensors[content]
        return {'tensor': lambda: tensor, 'array': lambda: tensor.numpy().copy(),
                'scalar': lambda: tensor.numpy()[()]}[kind]()

    def _object(self, data: dict[str, Any]) -> Any:
        kind = self._class(data['class'], object)
        value = self._objects[data['number']] = kind.__new__(kind)
        for key, each in data['fields']:
            object.__setattr__(value, key, self.read(each))  # dataclasses may be frozen
        return value

    @staticmethod
    def _class(name: str, base: type) -> Any:
        module, _, qualified = name.partition(':')
        if not module.startswith(_PACKAGES):
            raise TypeError(f'class {name} is none of this package')
        kind = getattr(importlib.import_module(module), qualified)
        if not (isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module):
            raise TypeError(f'{name} is no class of this package')
        return kind
