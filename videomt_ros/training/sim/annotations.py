"""What is true of a scene, in YouTube-VIS JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco_mask

from .catalogue import CLASS_NAMES
from .frame import SimConfig, SimFrame
from ..run_lengths import encode

ANNOTATIONS = 'annotations.json'

Record = dict[str, Any]


class SceneTracks:
    """
    Gathers the annotations of a scene frame by frame.

    :param video_id: of the scene.
    """

    def __init__(self, video_id: int) -> None:
        self._video_id = video_id
        self._records: dict[int, Record] = {}

    def add(self, frame: SimFrame) -> None:
        """
        Add a frame's masks.

        :param frame: the next one; an object that is not present in it gets nulls.
        """
        for view in frame.objects:
            record = self._records.setdefault(view.instance_id, {
                'video_id': self._video_id, 'category_id': view.class_id + 1, 'iscrowd': 0,
                'instance_id': view.instance_id, 'segmentations': [], 'bboxes': [], 'areas': [],
                'visibilities': []})
            code = encode(frame.ids == view.instance_id) if view.present else None
            record['segmentations'].append(code)
            record['bboxes'].append(None if code is None else coco_mask.toBbox(code).tolist())
            record['areas'].append(None if code is None else view.pixels)
            record['visibilities'].append(round(view.visible, 3))

    def records(self) -> list[Record]:
        """
        Give the annotations.

        :returns: of the objects that are present at least once; they lack their `id`.
        """
        return [record for record in self._records.values() if any(record['segmentations'])]


def document(videos: Sequence[Record], annotations: Sequence[Record],
             config: SimConfig) -> Record:
    """
    Put scenes together.

    :param videos: entries of `videos`.
    :param annotations: of :meth:`SceneTracks.records`; they are numbered.
    :param config: of all scenes.
    :returns: the content of the JSON file.
    """
    for number, annotation in enumerate(annotations, start=1):
        annotation['id'] = number
    return {
        'info': {'description': 'simulated robot camera of videomt_ros', 'rate': config.rate,
                 'min_visible': config.min_visible},
        'categories': [{'id': number, 'name': name, 'supercategory': 'object', 'isthing': 1}
                       for number, name in enumerate(CLASS_NAMES, start=1)],
        'videos': list(videos), 'annotations': list(annotations)}
