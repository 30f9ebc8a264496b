"""Image messages of a recording as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from rosbags.typesys import get_typestore, Stores
from rosbags.typesys.store import Typestore
from videomt_ros.ros.pixels import compressed_to_rgb, ImageError, raw_to_rgb

from .topic import COMPRESSED_IMAGE, IMAGE

_DEPTH = ('16UC1', '32FC1')


@dataclass(frozen=True, eq=False)
class Picture:
    """
    What an image message holds.

    :param stamp: of its header, in nanoseconds.
    :param frame_id: of its header.
    :param pixels: (H, W, 3) uint8 RGB.
    """

    stamp: int
    frame_id: str
    pixels: np.ndarray


@cache
def _store() -> Typestore:
    """Give the message types; those of images are the same in every release."""
    return get_typestore(Stores.ROS2_HUMBLE)


def decode_image(kind: str, data: bytes) -> Picture:
    """
    Read an image message.

    :param kind: its type, ``sensor_msgs/msg/Image`` or ``sensor_msgs/msg/CompressedImage``.
    :param data: its serialised content.
    :returns: the picture.
    :raises ImageError: when the message is cut, or holds no picture in colour or grey.
    """
    assert kind in (IMAGE, COMPRESSED_IMAGE)
    try:
        image: Any = _store().deserialize_cdr(data, kind)
    except Exception as error:  # cut data make the generated code raise whatever it meets
        raise ImageError('unreadable message', f'message of {len(data)} bytes cannot be read as '
                                               f'{kind}: {error!r}') from None
    if kind == IMAGE:
        pixels = raw_to_rgb(image.encoding, image.height, image.width, image.step,
                            bool(image.is_bigendian), image.data)
    elif image.format.startswith(_DEPTH):
        raise ImageError(f'depth {image.format}',
                         f"compressed image of format '{image.format}' is a depth image; "
                         f'expected colour or grey')
    else:
        pixels = compressed_to_rgb(image.format, image.data)
    stamp = image.header.stamp
    return Picture(stamp.sec * 10 ** 9 + stamp.nanosec, image.header.frame_id, pixels)
