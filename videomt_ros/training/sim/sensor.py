"""The camera's sensor: what turns a clean rendering into a picture as a camera delivers it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


class Sensor:
    """
    Blur, colour cast, contrast, drifting exposure and noise, drawn once for a scene.

    :param rng: source of chance.
    :param width: picture width in pixels.
    :param height: picture height in pixels.
    """

    def __init__(self, rng: Generator, width: int, height: int) -> None:
        self._rng = rng
        self._size = (height, width)
        self._cast = np.clip(rng.normal(1.0, 0.07, 3), 0.8, 1.2)
        self._gain = float(rng.uniform(0.85, 1.4))
        self._gamma = float(rng.uniform(0.7, 1.25))
        self._contrast = float(rng.uniform(0.75, 1.15))
        self._lift = float(rng.uniform(0.0, 0.08))
        self._drift = (float(rng.uniform(0.0, 0.12)), float(rng.uniform(2.0, 8.0)),
                       float(rng.uniform(0, 2 * math.pi)))
        self._softness = float(rng.choice((0.0, rng.uniform(0.4, 1.0)), p=(0.5, 0.5)))
        self._exposure = float(rng.uniform(0.0, 0.03))
        strength = float(rng.choice((rng.uniform(0.0, 3.0), rng.uniform(3.0, 9.0)),
                                    p=(0.7, 0.3)))
        # Noise is cut out of one larger sheet at random places: drawing it anew for each frame
        # would cost as much as the rendering.
        sheet = rng.normal(0.0, strength, (height + 64, width + 64, 3))
        self._noise: NDArray[np.int16] = np.round(sheet).astype(np.int16)

    def _curve(self, time: float) -> Picture:
        amplitude, period, phase = self._drift
        gain = self._gain * (1.0 + amplitude * math.sin(2 * math.pi * time / period + phase))
        level = np.linspace(0.0, 1.0, 256)[:, None] * gain * self._cast
        level = np.clip(level, 0.0, 1.0) ** self._gamma
        level = (level - 0.5) * self._contrast + 0.5 + self._lift
        curve: Picture = np.clip(level * 255.0, 0, 255).astype(np.uint8)
        return curve[None]

    def expose(self, rgb: Picture, time: float, turn_rate: float, focal: float) -> Picture:
        """
        Take a picture.

        :param rgb: (H,W,3) uint8, the clean rendering.
        :param time: seconds since the scene's first frame.
        :param turn_rate: the camera's rate of turn in radians a second, which smears the picture.
        :param focal: focal length in pixels.
        :returns: (H,W,3) uint8.
        """
        smear = int(abs(turn_rate) * focal * self._exposure)
        picture = rgb
        if smear >= 2:
            picture = np.asarray(cv2.blur(picture, (min(smear, 15), 1)))
        if self._softness:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), self._softness))
        picture = np.asarray(cv2.LUT(picture, self._curve(time)))
        top, left = self._rng.integers(0, 64, 2)
        height, width = self._size
        noise = self._noise[top:top + height, left:left + width]
        return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
