"""What the query slots of a camera have shown so far, where there are no tracks to tell it."""

from __future__ import annotations

import numpy as np

# So many frames count fully, and of more the older ones fade. Otherwise a slot that was nothing,
# or floor, for an hour would stay so for an hour more, whatever it shows; as it is, something else
# takes two seconds at ten frames a second. To steady a class, so many frames are more than enough.
LONGEST = 32


class SlotEvidence:
    """
    The running means of the slots' raw class logits.

    The paper averages the raw class logits of a slot over the whole clip. On the last frame of a
    clip of up to ``LONGEST`` frames the running mean is that average.

    :param num_slots: query slots Q.
    :param num_classes: classes K without no-object.
    """

    def __init__(self, num_slots: int, num_classes: int) -> None:
        # In float32, and divided at the end, because that is how the offline mean is rounded.
        self._sums = np.zeros((num_slots, num_classes + 1), dtype=np.float32)
        self._frames = np.zeros((num_slots, 1), dtype=np.float32)

    def reset(self) -> None:
        """Forget all slots."""
        self._sums[:] = 0
        self._frames[:] = 0

    def mean_with(self, logits: np.ndarray) -> np.ndarray:
        """
        Give the means with one more frame, which is not recorded.

        :param logits: (Q, K+1) raw class logits of the frame.
        :returns: (Q, K+1) float32.
        """
        sums, frames = self._with(logits)
        means: np.ndarray = sums / frames
        return means

    def add(self, logits: np.ndarray, anew: np.ndarray | None = None) -> None:
        """
        Record a frame.

        :param logits: (Q, K+1) raw class logits of the frame.
        :param anew: (Q,) bool, slots whose past does not count any more; None for none.
        """
        if anew is not None:
            self._sums[anew] = 0
            self._frames[anew] = 0
        self._sums, self._frames = self._with(logits)

    def _with(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = np.where(self._frames < LONGEST, 1, np.float32((LONGEST - 1) / LONGEST))
        return self._sums * kept + logits, self._frames * kept + 1
