"""A point cloud whose points know their colour and their track."""

from __future__ import annotations

import sys

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from videomt_ros.perception import FrameResult
from videomt_ros.ros.lifting import View

# The colour lies in the bytes of a float, as PCL has it and RViz expects it.
_KINDS = {'x': PointField.FLOAT32, 'y': PointField.FLOAT32, 'z': PointField.FLOAT32,
          'rgb': PointField.FLOAT32, 'label': PointField.UINT32}
_POINT = np.dtype([(name, 'u4' if name in ('rgb', 'label') else 'f4') for name in _KINDS])
_FIELDS = [PointField(name=name, offset=4 * number, datatype=kind, count=1)
           for number, (name, kind) in enumerate(_KINDS.items())]


def cloud_message(result: FrameResult, header: Header, rgb: np.ndarray, view: View,
                  background: bool) -> PointCloud2:
    """
    Make a cloud of the depth pixels of a frame.

    :param result: of the frame.
    :param header: of its image, shared with the message; the points are in its frame.
    :param rgb: (H, W, 3) uint8, the frame.
    :param view: what the camera measured.
    :param background: whether points without a track are in it as well, with label 0.
    :returns: unordered points with ``x y z`` in metres, ``rgb``, and ``label``, the track id;
        depth pixels without a measurement are left out.
    """
    rows, row_centres = view.depth_pixels(0)
    columns, column_centres = view.depth_pixels(1)
    tracks = np.zeros(np.iinfo(result.label_dtype).max + 1, np.uint32)
    for instance in result.instances:
        if instance.area:
            tracks[instance.mask_value] = instance.track_id
    labels = tracks[_picked(result.label_map, rows, columns)]
    height, width = labels.shape
    z = view.depth.metres(np.arange(height), np.arange(width))
    chosen = np.flatnonzero((z > 0) if background else (z > 0) & (labels > 0))
    row, column = np.divmod(chosen, width)
    points = np.empty(chosen.size, _POINT)
    xyz = view.pinhole.points(row_centres, column_centres, z, chosen)
    points['x'], points['y'], points['z'] = xyz.T
    colours = rgb[rows[row], columns[column]].astype(np.uint32)
    points['rgb'] = colours[:, 0] << 16 | colours[:, 1] << 8 | colours[:, 2]
    points['label'] = labels.reshape(-1)[chosen]
    cloud = PointCloud2(header=header, height=1, width=chosen.size, fields=_FIELDS,
                        is_bigendian=sys.byteorder == 'big', point_step=_POINT.itemsize,
                        row_step=points.nbytes, is_dense=True)
    cloud.data.frombytes(points.view(np.uint8))
    return cloud


def _picked(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """
    Pick pixels on a grid.

    :param picture: (H, W).
    :param rows: (h,) of the grid.
    :param columns: (w,) of the grid.
    :returns: (h, w).
    """
    if picture.shape == (rows.size, columns.size):
        return picture
    return picture[rows[:, None], columns]
