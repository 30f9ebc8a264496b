"""
Where an object is, and how large: from its mask and a depth image, both seen by one pinhole.

Depth shows an object's front alone. The median of what is seen there lies short of the object's
centre by a good part of its radius, which is 5 to 10 % of the distance for things of half a metre
two metres away. What points to the centre is the outline: on a body that looks the same from
behind as from before (a ball, a box, a can, any ellipsoid), the points in which lines of sight
graze it lie opposite to each other around the centre. So the position is the middle of the outline
in space. For something flat, such as a sign, that is the middle of the flat; for a box of which
one side alone is seen, it is the middle of this side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from videomt_ros.ros.depth import Depth
from videomt_ros.ros.pinhole import Pinhole

_GRID = 96  # samples along the longer side of a box; more would cost time and show nothing new
_POINTS = 1000  # of a surface, at most
_MARGIN = 2  # samples around the box, to see what is behind the outline
_LEAST = 4  # samples that are an object
_CORE = 0.03  # erosion that leaves the core of a mask, as a share of the root of its area
_GAP = 0.2  # gap in depth that parts an object from what is behind it, as a share of its size
_REACH = 0.8  # farthest that an object reaches in depth from its median, likewise
_NOISE = 0.01  # share of the distance by which a depth camera errs
_STEP = 0.02  # metres by which something in front of the outline is nearer, at least
_OUTLINE = 0.15  # share of the outline that must be seen free to be believed
_TRIM = 1.0  # percent of the points left out at each end
_PAIRS, _LEAST_PAIRS = 12, 3  # of opposite sectors of the outline
_FAR_PAIRS = 0.8  # share of them that lie nearer than the one that is believed
_FAR = np.float32(1e6)
_BESIDE, _AROUND = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


@dataclass(frozen=True)
class Placement:
    """
    An object in some frame.

    :param position: (3,) centre in metres.
    :param size: (3,) extent in metres along the axes of the frame.
    """

    position: np.ndarray
    size: np.ndarray


NOWHERE: Mapping[int, Placement] = MappingProxyType({})  # no track has a place


@dataclass(frozen=True, eq=False)
class Surface:
    """
    What is seen of an object, in the optical frame (x right, y down, z forward).

    :param points: (N, 3) float32, samples of the surface in metres.
    :param centre: (3,) estimated centre of the object.
    """

    points: np.ndarray
    centre: np.ndarray

    def placed(self, pose: np.ndarray | None = None) -> Placement:
        """
        Tell place and size in a frame.

        The size is that of the box around the centre that holds what is seen and its mirror
        image behind the centre.

        :param pose: (4, 4) of the optical frame in the frame; None for the optical frame itself.
        :returns: the placement.
        """
        offsets, position = self.points - self.centre.astype(np.float32), self.centre
        if pose is not None:
            offsets = offsets @ pose[:3, :3].T.astype(np.float32)
            position = pose[:3, :3] @ position + pose[:3, 3]
        low, high = _ends(offsets)
        return Placement(position, 2 * np.maximum(-low, high).clip(0))


@dataclass(frozen=True, eq=False)
class View:
    """
    What the camera measured with one frame.

    :param depth: of the frame, covering the same view.
    :param pinhole: of the frame's pixels.
    :param size: (H, W) of the frame.
    """

    depth: Depth
    pinhole: Pinhole
    size: tuple[int, int]

    def lift(self, mask: np.ndarray, box: tuple[int, int, int, int]) -> Surface | None:
        """
        Find the surface and the centre of an object.

        :param mask: (h, w) bool inside the box.
        :param box: (x, y, w, h) in pixels of the frame.
        :returns: None where too little depth is known.
        """
        rows, columns = self._grid(box)
        x, y, width, height = box
        seen = np.zeros((rows.size, columns.size), np.uint8)
        inner = np.s_[_MARGIN:-_MARGIN]
        seen[inner, inner] = mask[(rows[inner] - y)[:, None], columns[inner] - x]
        depth_rows, row_centres = self._to_depth(rows, 0)
        depth_columns, column_centres = self._to_depth(columns, 1)
        z = self.depth.metres(depth_rows, depth_columns)
        span = float(np.hypot(width / self.pinhole.fx, height / self.pinhole.fy))
        body = _body(seen, z, span)
        if body is None:
            return None
        surface = np.flatnonzero(body)
        every = -(-surface.size // _POINTS)
        outline, surface = (
            self.pinhole.points(row_centres, column_centres, z, chosen)
            for chosen in (np.flatnonzero(_outline(body, z)), surface[every // 2::every]))
        return Surface(surface, _centre(outline))

    def _grid(self, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """
        Choose the pixels of the frame that are looked at: a grid over the box and around it.

        :param box: (x, y, w, h).
        :returns: rows and columns, some of them maybe outside the frame.
        """
        x, y, width, height = box
        depth_height, depth_width = self.depth.samples.shape
        step = max(1, -(-max(width, height) // _GRID),
                   round(min(self.size[0] / depth_height, self.size[1] / depth_width)))
        around = _MARGIN * step
        return (_every(y, height, step, around), _every(x, width, step, around))

    def _to_depth(self, pixels: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the pixels of the depth image that show the same.

        :param pixels: (n,) rows or columns of the frame.
        :param axis: 0 for rows, 1 for columns.
        :returns: (n,) rows or columns of the depth image, -1 or beyond it outside the frame, and
            where in the frame their centres are.
        """
        scale = self.size[axis] / self.depth.samples.shape[axis]
        found = np.floor((pixels + 0.5) / scale).astype(np.int64)
        return found, (found + 0.5) * scale - 0.5

    def depth_pixels(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Find all pixels of the depth image in the frame.

        :param axis: 0 for rows, 1 for columns.
        :returns: for each row or column of the depth image that of the frame which holds its
            centre, and where its centre is.
        """
        count = self.depth.samples.shape[axis]
        centres = (np.arange(count) + 0.5) * (self.size[axis] / count) - 0.5
        return np.floor(centres + 0.5).astype(np.int64), centres


def _every(start: int, length: int, step: int, around: int) -> np.ndarray:
    """
    Give the rows or columns of a grid.

    :param start: first one of the box.
    :param length: of the box.
    :param step: between two.
    :param around: rows or columns before and behind, a multiple of the step.
    :returns: those before the box, inside it, and behind it.
    """
    last = start + (length - 1) // step * step
    return np.arange(start - around, last + around + 1, step)


def _ends(points: np.ndarray) -> np.ndarray:
    """
    Find the ends of a cloud without its outermost points, which noise has put there.

    :param points: (N, 3), N > 0.
    :returns: (2, 3) float64, low and high ends along each axis.
    """
    count = len(points)
    index = min(int(round(count * _TRIM / 100)), (count - 1) // 2)
    ordered = np.partition(points, (index, count - 1 - index), axis=0)
    return ordered[[index, count - 1 - index]].astype(np.float64)


def _centre(outline: np.ndarray) -> np.ndarray:
    """
    Find the middle of an outline in space.

    Where a whole side of an object lies along the line of sight, all of the side is its outline,
    and the nearest part of that alone is seen. So of all pairs of opposite points the farther
    ones tell the depth.

    :param outline: (N, 3) points, N > 0.
    :returns: (3,) float64.
    """
    low, high = _ends(outline)
    middle = (low + high) / 2
    across = (outline[:, :2] - middle[:2]) / np.maximum(high - low, 1e-6)[:2]
    turn = np.arctan2(across[:, 1], across[:, 0]) / (2 * np.pi)  # -0.5 to 0.5
    sector = np.floor(turn * 2 * _PAIRS).astype(np.int64) % (2 * _PAIRS)
    count = np.bincount(sector, minlength=2 * _PAIRS).reshape(2, _PAIRS)
    depth = np.bincount(sector, outline[:, 2], 2 * _PAIRS).reshape(2, _PAIRS)
    pairs = count.all(axis=0)
    if np.count_nonzero(pairs) < _LEAST_PAIRS:
        return middle
    depths = np.sort((depth[:, pairs] / count[:, pairs]).mean(axis=0))
    far = float(depths[round(_FAR_PAIRS * (depths.size - 1))])
    return middle * max(1.0, far / middle[2])


def _body(seen: np.ndarray, z: np.ndarray, span: float) -> np.ndarray | None:
    """
    Choose the samples that are the object, and not what a mask a little too large has caught.

    :param seen: (h, w) uint8, 1 in the mask.
    :param z: (h, w) float32 metres, 0 where unknown.
    :param span: diagonal of the box at a distance of 1 m, in metres.
    :returns: (h, w) bool; None where too little is left.
    """
    known = (z > 0) & (seen > 0)
    reach = max(1, round(_CORE * float(np.count_nonzero(seen)) ** 0.5))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    core = known & (cv2.erode(seen, window, borderValue=0) > 0)
    if np.count_nonzero(core) < _LEAST:
        core = known
    if np.count_nonzero(core) < _LEAST:
        return None
    inside = z[core]
    middle = float(np.partition(inside, inside.size // 2)[inside.size // 2])
    near, far = _layer(np.sort(z[known]), middle, span)
    known &= (z >= near) & (z <= far)
    core &= known
    # Towards the outline depth may fall off no steeper than it does inside: what lies behind the
    # object, and what a camera mixes of both, does.
    window = np.ones((2 * reach + 3, 2 * reach + 3), np.uint8)
    deepest = cv2.dilate(np.where(core, z, np.float32(0)), window)
    nearest = cv2.erode(np.where(core, z, _FAR), window)
    body = core | (known & (z <= 2 * deepest - nearest + np.float32(_NOISE * far)))
    return body if np.count_nonzero(body) >= _LEAST else None


def _layer(depths: np.ndarray, middle: float, span: float) -> tuple[float, float]:
    """
    Find the range of depths around a middle that no gap parts.

    :param depths: (N,) of the mask, in order.
    :param middle: one of them, of the object for sure.
    :param span: diagonal of the box at a distance of 1 m, in metres.
    :returns: nearest and farthest depth of the object.
    """
    gap = max(_GAP * span, 2 * _NOISE) * middle
    reach = max(_REACH * span, 2 * _NOISE) * middle
    gaps = np.flatnonzero(np.diff(depths) > gap)
    ends = np.concatenate(([-1], gaps, [depths.size - 1]))
    part = int(np.searchsorted(ends, np.searchsorted(depths, middle)))
    near, far = depths[ends[part - 1] + 1], depths[ends[part]]
    return max(float(near), middle - reach), min(float(far), middle + reach)


def _outline(body: np.ndarray, z: np.ndarray) -> np.ndarray:
    """
    Find the samples in which lines of sight graze the object.

    :param body: (h, w) bool, the object.
    :param z: (h, w) float32 metres, 0 where unknown.
    :returns: (h, w) bool, the edge of the body, but for where it goes on behind something nearer;
        all of the edge where little else is left.
    """
    # Samples without a measurement, and windows that one looks through, have no outline here.
    filled = cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_CLOSE, _AROUND,
                              borderType=cv2.BORDER_CONSTANT, borderValue=0)
    contours = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    edge = body & (cv2.erode(filled, _BESIDE, borderValue=0) == 0)
    others = np.where(body | (z == 0), _FAR, z)
    nearest = cv2.erode(others, _AROUND, borderValue=float(_FAR))
    free = edge & (nearest >= z - np.maximum(np.float32(_STEP), np.float32(2 * _NOISE) * z))
    enough = max(_LEAST, _OUTLINE * np.count_nonzero(edge))
    return free if np.count_nonzero(free) >= enough else edge
