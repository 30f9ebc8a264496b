"""Images between ROS messages and arrays, with no copy that the encoding does not ask for."""

from __future__ import annotations

import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from videomt_ros.ros.bridge import bridged_to_rgb
from videomt_ros.ros.encodings import ENCODINGS
from videomt_ros.ros.pixels import compressed_to_rgb, ImageError, raw_to_rgb, samples

__all__ = ['ImageError', 'array_to_image', 'array_to_jpeg', 'image_to_labels', 'image_to_rgb']

_OUT_ENCODINGS = {(2, 'uint8'): 'mono8', (2, 'uint16'): 'mono16', (3, 'uint8'): 'rgb8'}


def image_to_rgb(image: Image | CompressedImage) -> np.ndarray:
    """
    Give the pixels of an image message as RGB.

    :param image: raw (encodings of :data:`videomt_ros.ros.encodings.ENCODINGS`, rows padded or
        not, either byte order; others where cv_bridge is installed) or compressed (JPEG, PNG).
    :returns: (H, W, 3) uint8 RGB. For ``rgb8`` a view of the message's data, its rows apart by
        ``step``; a fresh array otherwise.
    :raises ImageError: unknown encoding, zero size, a step too small, data of another length
        than the sizes ask for, or a damaged compressed picture.
    """
    if isinstance(image, CompressedImage):
        return compressed_to_rgb(image.format, image.data)
    if image.encoding not in ENCODINGS:
        return bridged_to_rgb(image)
    return raw_to_rgb(image.encoding, image.height, image.width, image.step, image.is_bigendian,
                      image.data)


def array_to_image(pixels: np.ndarray, header: Header) -> Image:
    """
    Make an image message of an array.

    :param pixels: (H, W, 3) uint8 RGB -> rgb8; (H, W) uint8 -> mono8; (H, W) uint16 -> mono16.
    :param header: shared with the message, not copied.
    :returns: the message, in native byte order and without row padding.
    :raises ValueError: an array of another shape or type.
    """
    encoding = _OUT_ENCODINGS.get((pixels.ndim, pixels.dtype.name))
    if encoding is None or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f'no image encoding for an array of shape {pixels.shape} and type '
                         f'{pixels.dtype}; expected (H, W, 3) uint8, (H, W) uint8 or uint16')
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = Image(header=header, height=height, width=width, encoding=encoding,
                  is_bigendian=sys.byteorder == 'big', step=pixels[:1].nbytes)
    # Assigning an array or bytes is checked element by element; this is one copy (PEP 3118).
    image.data.frombytes(pixels.view(np.uint8).reshape(-1))
    return image


def array_to_jpeg(pixels: np.ndarray, header: Header) -> CompressedImage:
    """
    Make a compressed image message of an array.

    :param pixels: (H, W, 3) uint8 RGB.
    :param header: shared with the message, not copied.
    :returns: the message, its format worded as image_transport does.
    """
    # OpenCV takes BGR, and raises by itself what it cannot encode.
    data = cv2.imencode('.jpg', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
    image = CompressedImage(header=header, format='rgb8; jpeg compressed bgr8')
    image.data.frombytes(data.reshape(-1))
    return image


def image_to_labels(image: Image) -> np.ndarray:
    """
    Give the pixel values of a label image.

    :param image: mono8 or mono16, such as ``SegmentationMask.labels``.
    :returns: (H, W) uint8 or uint16; for native byte order a view of the message's data.
    :raises ImageError: another encoding, or sizes and data that do not agree.
    """
    if image.encoding not in ('mono8', 'mono16'):
        raise ImageError(f'encoding {image.encoding}',
                         f"label image of encoding '{image.encoding}'; expected mono8 or mono16")
    return samples(image.encoding, image.height, image.width, image.step, image.is_bigendian,
                   image.data)
