"""The objects as markers for RViz and Foxglove: a box with a label each, where depth tells."""

from __future__ import annotations

import copy

from geometry_msgs.msg import Quaternion, Vector3
import numpy as np
from std_msgs.msg import ColorRGBA, Header
from videomt_ros.perception import FrameResult, Instance, TrackState
from videomt_ros.perception.draw import track_colour
from videomt_ros.ros.lifting import Placement
from videomt_ros.ros.messages import point, vector
from videomt_ros.ros.scene import Scene
from visualization_msgs.msg import Marker, MarkerArray

_BOXES, _LABELS = 'boxes', 'labels'  # namespaces, to be switched off one by one
_SOLID, _FADED = 0.5, 0.15
_LETTERS = 0.1  # height in metres
_THINNEST = 0.01  # RViz complains of a box without thickness


class Markers:
    """
    The markers of one camera, which stand until their track ends.

    A track that is lost, or whose depth is unknown for a while, keeps its box where it was seen
    last; that of a lost one is faded.
    """

    def __init__(self) -> None:
        self._shown: dict[int, tuple[Marker, Marker]] = {}  # by track id
        self._begun = False

    def message(self, result: FrameResult, header: Header, scene: Scene) -> MarkerArray:
        """
        Tell what has changed with a frame.

        :param result: of the frame.
        :param header: of its image.
        :param scene: where the objects of the frame are.
        :returns: markers to add, change and delete, their ids the track ids; the first message
            deletes all, since an earlier run of the node may have left some.
        """
        here = Header(stamp=header.stamp, frame_id=scene.frame_id)
        upright = scene.frame_id != header.frame_id
        markers = [] if self._begun else [Marker(header=here, action=Marker.DELETEALL)]
        self._begun = True
        living = {each.track_id: each for each in result.instances
                  if each.track_id and each.state != TrackState.ENDED}
        for gone in self._shown.keys() - living.keys():
            del self._shown[gone]
            markers += [Marker(header=here, ns=name, id=gone, action=Marker.DELETE)
                        for name in (_BOXES, _LABELS)]
        for track_id, instance in living.items():
            if (placement := scene.placements.get(track_id)) is not None:
                pair = self._shown[track_id] = _pair(instance, here, placement, upright)
                markers += pair
            elif track_id in self._shown and instance.state == TrackState.LOST:
                markers += self._fade(track_id)
        return MarkerArray(markers=markers)

    def _fade(self, track_id: int) -> list[Marker]:
        """
        Make the box of a lost track paler.

        :param track_id: that has a box.
        :returns: its markers again, under their old stamp; nothing when it is pale already.
        """
        box, label = self._shown[track_id]
        if box.color.a == _FADED:
            return []
        box, label = copy.copy(box), copy.copy(label)
        box.color = _colour(track_id, _FADED)
        label.text += ' (lost)'
        self._shown[track_id] = box, label
        return [box, label]

    def clear(self) -> MarkerArray:
        """
        Take everything away.

        :returns: the message that does so.
        """
        self._shown.clear()
        self._begun = False
        return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def _pair(instance: Instance, header: Header, placement: Placement,
          upright: bool) -> tuple[Marker, Marker]:
    """
    Make the markers of a track.

    :param instance: the track.
    :param header: of the markers.
    :param placement: in the frame of the header.
    :param upright: z points upwards there; else y points downwards.
    :returns: box and label.
    """
    box = Marker(header=header, ns=_BOXES, id=instance.track_id, type=Marker.CUBE,
                 action=Marker.ADD, color=_colour(instance.track_id, _SOLID))
    box.pose.position = point(placement.position)
    box.pose.orientation = Quaternion(w=1.0)
    box.scale = vector(np.maximum(placement.size, _THINNEST))
    label = Marker(header=header, ns=_LABELS, id=instance.track_id, type=Marker.TEXT_VIEW_FACING,
                   action=Marker.ADD, color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
                   text=f'{instance.class_name} #{instance.track_id} {instance.score:.2f}')
    above = placement.position.copy()
    if upright:
        above[2] += placement.size[2] / 2 + _LETTERS
    else:
        above[1] -= placement.size[1] / 2 + _LETTERS
    label.pose.position = point(above)
    label.pose.orientation = Quaternion(w=1.0)
    label.scale = Vector3(z=_LETTERS)
    return box, label


def _colour(track_id: int, opacity: float) -> ColorRGBA:
    """
    Give the colour that the track has in the overlay too.

    :param track_id: of the track.
    :param opacity: 0 to 1.
    :returns: the colour.
    """
    red, green, blue = (value / 255 for value in track_colour(track_id))
    return ColorRGBA(r=red, g=green, b=blue, a=opacity)
