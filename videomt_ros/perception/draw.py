"""Draw a result over its frame, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
import colorsys

import cv2
import numpy as np

from .result import FrameResult, Instance

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN = 0.618033988749895
# Share of the object's colour in its fill.
_FILL = 0.45


def track_colour(track_id: int) -> tuple[int, int, int]:
    """
    Choose the colour of a track; successive ids are far apart.

    :param track_id: 0 and up.
    :returns: RGB, each 0..255.
    """
    return _rgb(track_id * _GOLDEN % 1, 0.95 - 0.3 * (track_id % 3) / 2, 1.0)


def stuff_colour(class_id: int) -> tuple[int, int, int]:
    """
    Choose the colour of a class without tracks, duller than those of tracks.

    :param class_id: 0 and up.
    :returns: RGB, each 0..255.
    """
    return _rgb((class_id + 1) * _GOLDEN % 1, 0.55, 0.9 - 0.25 * (class_id % 3) / 2)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _colour(instance: Instance) -> tuple[int, int, int]:
    if instance.track_id:
        return track_colour(instance.track_id)
    return stuff_colour(instance.class_id)


def overlay(frame: np.ndarray, result: FrameResult) -> np.ndarray:
    """
    Fill, outline and name every instance that is seen in a frame.

    Lines and letters grow with the height of the picture. Lost and ended tracks have no mask and
    are not drawn. The name of stuff stands in its middle, if it fits there.

    :param frame: (H, W, 3) uint8 RGB that the result is of; it stays as it is.
    :param result: of that frame.
    :returns: (H, W, 3) uint8 RGB.
    :raises ValueError: when the frame has another size than the result.
    """
    if frame.shape != (result.height, result.width, 3):
        raise ValueError(
            f'frame has shape {frame.shape}: expected that of the result, '
            f'({result.height}, {result.width}, 3)')
    picture = frame.copy()
    # Small things lie on large ones.
    seen = sorted((i for i in result.instances if i.area), key=lambda i: -i.area)
    for instance in seen:
        _fill(picture, instance)
    for instance in seen:
        _outline(picture, instance)
    taken: list[tuple[int, int, int, int]] = []
    for instance in sorted(seen, key=lambda i: (not i.track_id, i.track_id)):
        _label(picture, instance, taken)
    return picture


def _fill(picture: np.ndarray, instance: Instance) -> None:
    x, y, width, height = instance.box
    region = picture[y:y + height, x:x + width]
    colour = np.full_like(region, _colour(instance))
    tinted = cv2.addWeighted(region, 1 - _FILL, colour, _FILL, 0)
    cv2.copyTo(tinted, instance.box_mask.view(np.uint8), region)  # writes into the picture


def _outline(picture: np.ndarray, instance: Instance) -> None:
    x, y, _, _ = instance.box
    contours, _ = cv2.findContours(
        instance.box_mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    cv2.drawContours(picture, contours, -1, _colour(instance),
                     thickness=max(1, round(picture.shape[0] / 360)))


def _label(
    picture: np.ndarray, instance: Instance, taken: list[tuple[int, int, int, int]],
) -> None:
    """Write above the object, or as near to that as the picture and other labels allow."""
    height, width = picture.shape[:2]
    scale = max(0.4, height / 1080 * 0.9)
    thickness = max(1, round(scale * 2))
    name = instance.class_name
    tail = f' #{instance.track_id} {instance.score:.2f}' if instance.track_id else ''
    while len(name) > 3 and _text_size(name + tail, scale, thickness)[0] > width - 4:
        name = name.rstrip('.')[:-1] + '.'
    text = name + tail
    rise, fall = _text_size('A', scale, thickness)[1], round(8 * scale)
    margin = max(2, round(5 * scale))
    box_width = _text_size(text, scale, thickness)[0] + 2 * margin
    box_height = margin + rise + fall
    x, y, _, _ = instance.box
    y -= box_height
    if not instance.track_id:
        x, y, room = _middle(instance)
        if room < box_height / 2:
            return
        x, y = x - box_width // 2, y - box_height // 2
    left = max(0, min(x, width - box_width))
    top = max(0, min(y, height - box_height))
    while top + box_height < height and _touches((left, top, box_width, box_height), taken):
        top += 1
    taken.append((left, top, box_width, box_height))
    colour = _colour(instance)
    cv2.rectangle(picture, (left, top), (left + box_width - 1, top + box_height - 1), colour,
                  cv2.FILLED)
    luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if luminance > 110 else (255, 255, 255)
    cv2.putText(picture, text, (left + margin, top + margin + rise), _FONT, scale, ink,
                thickness, cv2.LINE_AA)


def _middle(instance: Instance) -> tuple[int, int, float]:
    """Find the pixel of a mask that is farthest from its outline: x, y, and how far."""
    x, y, width, height = instance.box
    shrink = max(1, round(max(width, height) / 200))  # as good for a label, and much faster
    small = np.pad(instance.box_mask[::shrink, ::shrink].view(np.uint8), 1)
    distances = cv2.distanceTransform(small, cv2.DIST_L2, cv2.DIST_MASK_3)
    _, farthest, _, (column, row) = cv2.minMaxLoc(distances)
    return x + (column - 1) * shrink, y + (row - 1) * shrink, farthest * shrink


def _text_size(text: str, scale: float, thickness: int) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    return width, height


def _touches(box: tuple[int, int, int, int], others: Sequence[tuple[int, int, int, int]]) -> bool:
    x, y, width, height = box
    return any(x < ox + ow and ox < x + width and y < oy + oh and oy < y + height
               for ox, oy, ow, oh in others)
