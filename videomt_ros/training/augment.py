"""Random views of a clip: one crop, flip and colour for all frames; rotations for pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """
    A drawn view, applied alike to pictures and masks.

    :param size: (height, width) of the result.
    :param matrices: for each frame a 2x3 matrix from source to result pixels.
    :param gain: (3,) factor of each channel.
    :param offset: added to all channels after that, in 0..255.
    """

    size: tuple[int, int]
    matrices: np.ndarray
    gain: np.ndarray
    offset: float

    def picture(self, rgb: np.ndarray, frame: int) -> np.ndarray:
        """
        Transform a picture.

        :param rgb: (h, w, 3) uint8.
        :param frame: index in the clip.
        :returns: (H, W, 3) uint8; what lies outside the source is its mirror.
        """
        matrix = self._of(frame)
        shrink = 1 / max(np.sqrt(abs(np.linalg.det(matrix[:, :2]))), 1e-6)
        if shrink > 1.5:  # bilinear sampling alone would alias
            rgb = cv2.GaussianBlur(rgb, (0, 0), shrink / 3)
        warped = cv2.warpAffine(
            rgb, matrix, self.size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.clip(warped * self.gain + self.offset, 0, 255).astype(np.uint8)

    def mask(self, mask: np.ndarray, frame: int) -> np.ndarray:
        """
        Transform a mask.

        :param mask: (h, w) uint8 of 0 and 1.
        :param frame: index in the clip.
        :returns: (H, W) bool; what lies outside the source is its mirror, as in the picture.
        """
        warped = cv2.warpAffine(
            mask * np.uint8(255), self._of(frame), self.size[::-1], flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT)
        return warped >= 128

    def _of(self, frame: int) -> np.ndarray:
        return self.matrices[frame % len(self.matrices)]


def draw_augmentation(
        random: np.random.Generator, source: tuple[int, int], size: tuple[int, int],
        zoom: float, colour: float, angles: np.ndarray | None = None) -> Augmentation:
    """
    Draw a view of a clip.

    :param random: the source of chance.
    :param source: (height, width) of the pictures.
    :param size: (height, width) of the result; the picture is scaled to cover it.
    :param zoom: largest enlargement beyond that, 1 is none.
    :param colour: strength of brightness, contrast and channel gains, 0 is none.
    :param angles: for each frame a rotation in degrees; None is none.
    :returns: the view.
    """
    (h, w), (H, W) = source, size
    scale = max(H / h, W / w) * (random.uniform(1, zoom) if random.random() < 0.5 else 1.0)
    x = random.uniform(0, max(w * scale - W, 0))
    y = random.uniform(0, max(h * scale - H, 0))
    # Pixel centres: source u maps to scale * (u + 0.5) - 0.5 - x.
    shift = 0.5 * scale - 0.5
    view = np.array([[scale, 0, shift - x], [0, scale, shift - y], [0, 0, 1]])
    if random.random() < 0.5:
        view = np.array([[-1, 0, W - 1], [0, 1, 0], [0, 0, 1]]) @ view
    matrices = [view]
    if angles is not None:
        cx, cy = random.uniform(0.4, 0.6) * W, random.uniform(0.4, 0.6) * H
        matrices = [
            np.vstack((cv2.getRotationMatrix2D((cx, cy), angle, 1.0), (0, 0, 1))) @ view
            for angle in angles]
    contrast = random.uniform(1 - colour, 1 + colour)
    gain = contrast * random.uniform(1 - colour / 2, 1 + colour / 2, size=3)
    offset = 128 * (1 - contrast) + 128 * random.uniform(-colour, colour)
    return Augmentation(
        size, np.stack(matrices)[:, :2].astype(np.float64), gain.astype(np.float32),
        float(offset))


def rotation_path(random: np.random.Generator, frames: int) -> np.ndarray:
    """
    Draw the rotations that make a picture a pseudo-clip, as the paper's COCO clips are.

    :param random: the source of chance.
    :param frames: of the clip.
    :returns: (frames,) degrees in -15..15, rising or falling.
    """
    angles = np.sort(random.uniform(-15, 15, size=frames))
    return angles[::-1] if random.random() < 0.5 else angles
