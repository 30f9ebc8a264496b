"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .cameras import FrameChoice


@dataclass(frozen=True)
class Settings:
    """
    All that is asked for, but where from and where to.

    :param checkpoint: weights, as :func:`videomt_ros.network.load_network` takes them; None for
        those of the package.
    :param device: ``auto``, ``cpu``, ``cuda``, ...
    :param precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
    :param engine: what runs the network, see :func:`videomt_ros.perception.engines.make_engine`;
        only ``eager`` can run the early blocks ahead, on several frames as one batch. ``auto`` is
        the segmenter's choice on a CPU, and elsewhere ``eager``.
    :param tracking: further arguments of :class:`videomt_ros.perception.VideoSegmenter`.
    :param topics: of the cameras; empty to find them.
    :param names: of these cameras, for their results; empty to make them of the topics.
    :param choice: which frames.
    :param batch: frames that go through the early blocks of the network together.
    :param workers: threads for decoding and the early blocks; None for as many as there are
        cores, 0 for all in one thread, a frame at a time.
    :param storage: ``mcap`` or ``sqlite3``; None for that of the output's name.
    :param merge: copy all messages of the recording into the output.
    :param masks: write label images besides the tracks.
    :param files: further outputs: path by kind, see :data:`KINDS`.
    :param positions: place the objects where the recording has depth.
    :param depth: topics of depth images; empty for those whose name speaks of depth. A camera has
        the one that is in its frame.
    :param depth_tolerance: seconds by which the stamp of depth may differ from that of its image.
    :param target_frame: frame of the positions, reached through the recorded transforms; empty for
        the optical frame of each camera.
    :param truth: annotations in the layout of YouTube-VIS, for the report.
    :param overwrite: replace outputs that are there already.
    :param fresh: throw away the unfinished work of an earlier run.
    """

    checkpoint: str | None = None
    device: str = 'auto'
    precision: str = 'auto'
    engine: str = 'auto'
    tracking: Mapping[str, Any] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    choice: FrameChoice = FrameChoice()
    batch: int = 4
    workers: int | None = None
    storage: str | None = None
    merge: bool = False
    masks: bool = True
    files: Mapping[str, Path] = field(default_factory=dict)
    positions: bool = True
    depth: tuple[str, ...] = ()
    depth_tolerance: float = 0.02
    target_frame: str = ''
    truth: Path | None = None
    overwrite: bool = False
    fresh: bool = False

    def of_results(self) -> dict[str, Any]:
        """
        Give what determines the results, whatever is then made of them.

        :returns: JSON data.
        """
        return {
            'tracking': dict(self.tracking), 'topics': list(self.topics),
            'choice': asdict(self.choice), 'batch': self.batch, 'precision': self.precision,
            'engine': self.engine}


KINDS = ('video', 'csv', 'parquet', 'coco', 'ytvis', 'html')
