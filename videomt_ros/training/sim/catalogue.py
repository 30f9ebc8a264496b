"""The object classes of the simulated world, out of meshes that the pybullet_data wheel has."""

from dataclasses import dataclass
from enum import Enum
import math


class Collider(Enum):
    """Primitive that stands for an object's shape in the physics."""

    BOX = 'box'
    SPHERE = 'sphere'
    CYLINDER = 'cylinder'
    TABLE = 'table'
    TRAY = 'tray'


class Paint(Enum):
    """How far an object's colours may be changed without making its class hard to name."""

    FREE = 'free'       # any colour, the shape tells the class
    TINT = 'tint'       # a light tint over its own texture
    LIVERY = 'livery'   # each part's saturated colour is replaced, its greys are kept
    DRESSED = 'dressed'  # any colour or any procedural texture


@dataclass(frozen=True)
class ObjectKind:
    """
    A class of objects.

    :param name: class name, as it stands in the data set and in the messages.
    :param urdf: file below pybullet_data's folder.
    :param reach: radius in the file's units of a ball around the file's origin that holds all of
        it, used to point the camera that measures the shape.
    :param size: smallest and largest length in metres of the object's longest side.
    :param collider: its shape in the physics.
    :param paint: how its colours may vary.
    :param vehicle: whether it usually drives about.
    :param weight: how often it is drawn, relative to the other classes.
    :param up: rotation (roll, pitch, yaw in radians) that sets the file's shape upright.
    """

    name: str
    urdf: str
    reach: float
    size: tuple[float, float]
    collider: Collider
    paint: Paint
    vehicle: bool = False
    weight: float = 1.0
    up: tuple[float, float, float] = (0.0, 0.0, 0.0)


# A mug's cylinder leaves out its handle, and a tray is its bottom alone: where one falls on those,
# they sink into the floor (about one in eight of both). Other colliders would change the scenes of
# all seeds, with which the embedded network was trained and measured.
KINDS: tuple[ObjectKind, ...] = (
    ObjectKind('duck', 'duck_vhacd.urdf', 0.15, (0.35, 0.60), Collider.BOX, Paint.TINT,
               up=(math.pi / 2, 0.0, 0.0)),
    ObjectKind('soccer_ball', 'soccerball.urdf', 0.8, (0.32, 0.50), Collider.SPHERE, Paint.TINT),
    ObjectKind('r2d2', 'r2d2.urdf', 1.2, (0.65, 1.05), Collider.BOX, Paint.LIVERY, vehicle=True),
    ObjectKind('racecar', 'racecar/racecar.urdf', 0.6, (0.60, 0.95), Collider.BOX, Paint.LIVERY,
               vehicle=True),
    ObjectKind('teddy', 'teddy_vhacd.urdf', 0.25, (0.40, 0.70), Collider.BOX, Paint.FREE,
               up=(math.pi / 2, 0.0, 0.0)),
    ObjectKind('lego', 'lego/lego.urdf', 0.06, (0.32, 0.50), Collider.BOX, Paint.FREE),
    ObjectKind('mug', 'objects/mug.urdf', 0.2, (0.32, 0.50), Collider.CYLINDER, Paint.FREE),
    ObjectKind('domino', 'domino/domino.urdf', 0.05, (0.45, 0.70), Collider.BOX, Paint.TINT),
    ObjectKind('block', 'cube.urdf', 1.0, (0.28, 0.50), Collider.BOX, Paint.DRESSED),
    ObjectKind('tray', 'tray/traybox.urdf', 0.6, (0.50, 0.80), Collider.TRAY, Paint.TINT),
    ObjectKind('table', 'table_square/table_square.urdf', 1.0, (0.55, 0.85), Collider.TABLE,
               Paint.TINT, weight=0.8),
    ObjectKind('husky', 'husky/husky.urdf', 1.0, (0.65, 1.00), Collider.BOX, Paint.LIVERY,
               vehicle=True, weight=0.8),
)

CLASS_NAMES: tuple[str, ...] = tuple(kind.name for kind in KINDS)
