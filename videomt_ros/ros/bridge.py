"""
``cv_bridge``, where it is installed, for the encodings that our own table lacks.

It is compiled against one version of NumPy and fails with another one, so it is never asked for
what cameras usually send.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from videomt_ros.ros.encodings import ENCODINGS
from videomt_ros.ros.pixels import ImageError


def bridged_to_rgb(image: Image) -> np.ndarray:
    """
    Have cv_bridge convert an image.

    :param image: of an encoding that is not in :data:`videomt_ros.ros.encodings.ENCODINGS`.
    :returns: (H, W, 3) uint8 RGB.
    :raises ImageError: cv_bridge is not there, does not work, or cannot convert the image.
    """
    bridge, obstacle = _bridge()
    if bridge is not None:
        try:
            rgb = np.asarray(bridge.imgmsg_to_cv2(image, desired_encoding='rgb8'))
            if rgb.shape == (image.height, image.width, 3) and rgb.dtype == np.uint8:
                return rgb
            obstacle = f'it gave an array of shape {rgb.shape} and type {rgb.dtype}'
        except Exception as error:  # of its own, of OpenCV, of NumPy: whatever the image provokes
            obstacle = f'it says: {" ".join(str(error).split())}'
        obstacle = f'cv_bridge cannot convert it either, {obstacle}'
    raise ImageError(
        f'encoding {image.encoding}',
        f"image encoding '{image.encoding}' is not supported; expected one of "
        f'{", ".join(ENCODINGS)}; {obstacle}')


@cache
def _bridge() -> tuple[Any, str]:
    """
    Load cv_bridge, once.

    :returns: a ``CvBridge`` or None, and why there is none.
    """
    try:
        from cv_bridge import CvBridge
        return CvBridge(), ''
    except ModuleNotFoundError:
        return None, 'cv_bridge, which knows more, is not installed'
    except Exception as error:  # built for another NumPy: ImportError, AttributeError, ...
        return None, f'cv_bridge is installed but does not work here: {error}'
