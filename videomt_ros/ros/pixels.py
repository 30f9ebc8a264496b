"""
The pixels of image messages, whoever made the message: rclpy's classes or those of a bag.

No ROS is imported: everything here takes the fields of a message.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from videomt_ros.ros.encodings import ENCODINGS

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND\xaeB`\x82'
_TAIL = 64  # bytes after a picture, besides zeros, that some senders append
# compressed_image_transport on a mosaic that it has not turned into colours or grey: it names no
# encoding of the compressed picture.
_MOSAIC = re.compile(r'(bayer_(?:rggb|bggr|gbrg|grbg))(?:8|16) *; *\w+ compressed *')


class ImageError(ValueError):
    """
    Say in one sentence why an image message cannot be used.

    :param cause: what is wrong without the numbers of this one message, so that a stream of like
        messages can be reported once.
    :param detail: the sentence for the reader.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def raw_to_rgb(
    encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any,
) -> np.ndarray:
    """
    Give the pixels of a raw image as RGB.

    :param encoding: one of :data:`videomt_ros.ros.encodings.ENCODINGS`.
    :param height: rows of the picture.
    :param width: columns of the picture.
    :param step: bytes from one row to the next.
    :param is_bigendian: the byte order of samples of 16 bits.
    :param data: buffer of the bytes.
    :returns: (H, W, 3) uint8 RGB. For ``rgb8`` a view of the data, its rows apart by ``step``; a
        fresh array otherwise.
    :raises ImageError: unknown encoding, zero size, a step too small, or data of another length
        than the sizes ask for.
    """
    known = ENCODINGS.get(encoding)
    if known is None:
        raise ImageError(
            f'encoding {encoding}',
            f"image encoding '{encoding}' is not supported; expected one of "
            f'{", ".join(ENCODINGS)}')
    return known.to_rgb(samples(encoding, height, width, step, is_bigendian, data))


def samples(
    encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any,
) -> np.ndarray:
    """
    View the data of a raw image as rows of samples, once its sizes are seen to be true.

    :param encoding: a key of :data:`videomt_ros.ros.encodings.ENCODINGS`.
    :param height: rows of the picture.
    :param width: columns of the picture.
    :param step: bytes from one row to the next.
    :param is_bigendian: the byte order of samples of 16 bits.
    :param data: buffer of the bytes.
    :returns: (rows, W) or (rows, W, channels), uint8 or uint16 of native byte order.
    :raises ImageError: sizes, step and length of the data do not agree.
    """
    known = ENCODINGS[encoding]
    what = f"image of encoding '{encoding}' and size {width}x{height}"
    if height == 0 or width == 0:
        raise ImageError('zero size', f'{what} has no pixels; expected at least 1x1')
    if (known.even_width and width % 2) or (known.planes and height % 2):
        raise ImageError(f'odd size {encoding}',
                         f'{what} has an odd size, but pixels share their colour in pairs')
    dtype = np.dtype(np.uint8 if known.depth == 8 else '>u2' if is_bigendian else '<u2')
    view = rows_of(what, encoding, known.rows(height), width, known.channels, dtype, step, data)
    if dtype.isnative and step % dtype.itemsize == 0:
        return view
    return view.astype(dtype.newbyteorder('='), order='C')


def rows_of(what: str, encoding: str, rows: int, width: int, channels: int, dtype: np.dtype[Any],
            step: int, data: Any) -> np.ndarray:
    """
    View a buffer as rows of samples, once its length is seen to be true.

    :param what: the image in words, the subject of errors.
    :param encoding: its encoding, for the cause of errors.
    :param rows: of samples in memory, at least 1.
    :param width: pixels a row.
    :param channels: samples a pixel.
    :param dtype: of a sample, with its byte order.
    :param step: bytes from one row to the next.
    :param data: buffer of the bytes.
    :returns: (rows, width) or (rows, width, channels) of dtype, rows and samples maybe unaligned.
    :raises ImageError: sizes, step and length of the data do not agree.
    """
    row_bytes = width * channels * dtype.itemsize
    if step < row_bytes:
        raise ImageError(f'step {encoding}',
                         f'{what} has step {step}; expected at least {row_bytes} bytes a row')
    # Some drivers leave out the padding of the very last row.
    least, most = step * (rows - 1) + row_bytes, step * rows
    if not least <= len(data) <= most:
        wrong = 'truncated' if len(data) < least else 'overlong'
        raise ImageError(f'{wrong} {encoding}',
                         f'{what} and step {step} is {wrong}: it carries {len(data)} bytes; '
                         f'expected {most}')
    shape: tuple[int, ...] = (rows, width)
    strides: tuple[int, ...] = (step, channels * dtype.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    return np.ndarray(shape, dtype, data, strides=strides)


def compressed_to_rgb(kind: str, data: Any) -> np.ndarray:
    """
    Decode a JPEG or PNG picture.

    :param kind: the message's ``format``, for the wording of errors, and to know the raw mosaic of
        a Bayer camera by.
    :param data: buffer of the bytes.
    :returns: (H, W, 3) uint8 RGB.
    :raises ImageError: the data are no whole picture.
    """
    what = f"compressed image of format '{kind}' and {len(data)} bytes"
    content = np.frombuffer(data, np.uint8)
    start, end = content[:4].tobytes(), content.tobytes().rstrip(b'\0')[-_TAIL:]
    # OpenCV fills the missing part of a cut JPEG with grey and says nothing.
    cut = (start.startswith(_JPEG_START) and _JPEG_END not in end
           or start.startswith(_PNG_START) and _PNG_END not in end)
    mosaic = _MOSAIC.fullmatch(kind)
    flags = cv2.IMREAD_UNCHANGED if mosaic else cv2.IMREAD_COLOR
    try:
        picture = None if cut or not content.size else cv2.imdecode(content, flags)
    except cv2.error:
        picture = None
    if picture is None:
        wrong = 'truncated' if cut else 'unreadable'
        raise ImageError(f'{wrong} {kind}',
                         f'{what} is {wrong}; expected a whole JPEG or PNG picture')
    if mosaic and picture.ndim == 2:
        return ENCODINGS[f'{mosaic[1]}{8 * picture.itemsize}'].to_rgb(picture)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
