"""A network whose answers are written down, so that tests decide what a camera shows."""

import numpy as np
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, QueryState, VideoMTOutput

CLASS_NAMES = ('person', 'dog', 'cup')
SIZE = 64  # of the frames, which go to the network as they are
GRID = SIZE // 4


def shows(class_name=None, box=None, probability=0.95, mask_logit=4.0):
    """
    Write down what a slot answers for one frame.

    :param class_name: its class; None for no object.
    :param box: (x, y, width, height) of its mask in cells of 4 pixels; None for an empty mask.
    :param probability: of that class.
    :param mask_logit: inside the mask; outside it is the negative.
    :returns: class logits (K+1,) and mask logits (GRID, GRID).
    """
    rest = (1 - probability) / len(CLASS_NAMES)
    classes = torch.full((len(CLASS_NAMES) + 1,), rest)
    classes[-1 if class_name is None else CLASS_NAMES.index(class_name)] = probability
    mask = torch.full((GRID, GRID), -mask_logit)
    if box:
        x, y, width, height = box
        mask[y:y + height, x:x + width] = mask_logit
    return classes.log(), mask


class ScriptedNetwork:
    """
    Answers the n-th frame since the memory began with the n-th answer of its script.

    :param script: list over frames of dicts from slot to what :func:`shows` gives; silent slots
        and frames after the end show no object.
    :param num_queries: query slots.
    :param square: stretch frames to a square.
    :param things: indices of the classes that are things.
    """

    device = torch.device('cpu')
    dtype = torch.float32

    def __init__(self, script, num_queries=5, square=False, things=range(3)):
        self.script = script
        self.config = NetworkConfig(
            num_queries=num_queries, class_names=CLASS_NAMES, thing_classes=frozenset(things),
            preprocessing=Preprocessing('square' if square else 'short_side', size=SIZE))
        self.asked = []  # the slots of which masks were made, a call each
        self.batches = []  # the number of frames of each call

    def eval(self):  # noqa: A003
        return self

    def initial_state(self, batch):
        start = torch.zeros(self.config.num_queries, 1)
        return QueryState(start.expand(batch, -1, -1), start)

    def __call__(self, pixels, state):
        self.batches.append(len(pixels))
        Q = self.config.num_queries
        silent = shows()
        classes, masks = [], []
        for row in state.queries:
            frame = int(row[0, 0])
            answers = self.script[frame] if frame < len(self.script) else {}
            classes.append(torch.stack([answers.get(slot, silent)[0] for slot in range(Q)]))
            masks.append(torch.stack([answers.get(slot, silent)[1] for slot in range(Q)]))
        network = self

        class Output(VideoMTOutput):

            def mask_logits_of(self, row, slots):
                network.asked.append(list(slots))
                return super().mask_logits_of(row, slots)

        # Channel q of the features is the mask of slot q.
        return Output(torch.stack(classes), torch.eye(Q).expand(len(pixels), -1, -1),
                      torch.stack(masks), QueryState(state.queries + 1, state.initial))


@pytest.fixture
def scripted():
    """Give the class of scripted networks."""
    return ScriptedNetwork


@pytest.fixture(name='shows')
def shows_fixture():
    """Give the function that writes down an answer."""
    return shows


@pytest.fixture
def frame():
    """Give a frame that needs no resizing."""
    return np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
