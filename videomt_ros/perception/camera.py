"""The memory of one camera."""

from __future__ import annotations

from dataclasses import dataclass

from videomt_ros.network import QueryState

from .tasks import Task

# Frames without stamps count as so many seconds apart.
NOMINAL_PERIOD = 0.1


@dataclass
class Camera:
    """
    What is remembered of one camera from frame to frame.

    :param task: with the tracks.
    :param queries: the network's memory, one row; None when the next frame starts anew.
    :param epoch: how often the memory was reset.
    :param reset_reason: of a reset since the latest frame, in words.
    :param stamp: of the latest frame in seconds; None when it had none.
    :param size: (H, W) of the latest frame.
    :param frame_id: coordinate frame of the latest frame; None when it was not told.
    """

    task: Task
    queries: QueryState | None = None
    epoch: int = 0
    reset_reason: str | None = None
    stamp: float | None = None
    size: tuple[int, int] = (0, 0)
    frame_id: str | None = None

    def reset(self, reason: str) -> None:
        """
        Forget all that was seen; a memory without any frame stays as it is.

        :param reason: in words, for the next result.
        """
        if self.queries is not None:
            self.queries = None
            self.epoch += 1
            self.reset_reason = reason
            self.task.reset()

    def break_before(
        self, size: tuple[int, int], stamp: float | None, frame_id: str | None, max_gap: float,
    ) -> str | None:
        """
        Tell whether a frame cannot continue what is remembered.

        :param size: (H, W) of the frame.
        :param stamp: of the frame in seconds; None for no check of time.
        :param frame_id: its coordinate frame; None for no check.
        :param max_gap: longest time in seconds over which the memory is carried on.
        :returns: why the memory has to be reset, in words; None when it has not.
        """
        if self.queries is None:
            return None
        if size != self.size:
            return (f'image size changed from {self.size[1]}x{self.size[0]} to '
                    f'{size[1]}x{size[0]}')
        if None not in (frame_id, self.frame_id) and frame_id != self.frame_id:
            return f'frame_id changed from {self.frame_id!r} to {frame_id!r}'
        if stamp is not None and self.stamp is not None:
            if stamp < self.stamp:
                return f'stamp went back by {self.stamp - stamp:.3f} s'
            if stamp - self.stamp > max_gap:
                return f'gap of {stamp - self.stamp:.3f} s, over max_gap {max_gap:g} s'
        return None
