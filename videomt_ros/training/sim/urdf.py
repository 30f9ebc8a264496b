"""Reads what a URDF file draws, and writes it again as one rigid body of any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import xml.etree.ElementTree as ElementTree

import numpy as np

from .catalogue import Collider
from .geometry import Array, rotation_rpy, rpy_of, transform

Colour = tuple[float, float, float, float]
_MASS = 1.0


@dataclass(frozen=True)
class VisualPart:
    """
    One coloured shape of an object.

    :param kind: 'mesh', 'box', 'cylinder' or 'sphere'.
    :param mesh: absolute path of the mesh, '' for a primitive.
    :param size: mesh scale, box sides, (radius, length) or (radius,), in the file's units.
    :param pose: (4,4) pose in the object's root frame.
    :param rgba: colour that the file gives, each 0..1.
    """

    kind: str
    mesh: str
    size: tuple[float, ...]
    pose: Array
    rgba: Colour


def _numbers(text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split()) if text else default


def _origin(element: ElementTree.Element) -> Array:
    origin = element.find('origin')
    if origin is None:
        return np.eye(4)
    roll, pitch, yaw = _numbers(origin.get('rpy'), (0.0, 0.0, 0.0))
    x, y, z = _numbers(origin.get('xyz'), (0.0, 0.0, 0.0))
    return transform(rotation_rpy(roll, pitch, yaw), (x, y, z))


class _Skeleton:
    """
    Tells where the links are at the zero position of all joints.

    Only joints on the way to a link that is asked for are read: the husky's sensor mounts hold
    macros that nobody expanded, and nothing that is drawn hangs on them.
    """

    def __init__(self, robot: ElementTree.Element) -> None:
        self._joints: dict[str, tuple[str, ElementTree.Element]] = {}
        for joint in robot.findall('joint'):
            parent, child = joint.find('parent'), joint.find('child')
            if parent is not None and child is not None:
                self._joints[child.get('link', '')] = parent.get('link', ''), joint

    def pose(self, link: str) -> Array:
        """Tell a link's (4,4) pose in the root link's frame."""
        if link not in self._joints:
            return np.eye(4)
        parent, joint = self._joints[link]
        return self.pose(parent) @ _origin(joint)


def read_parts(path: Path, up: tuple[float, float, float] = (0.0, 0.0, 0.0),
               ) -> tuple[VisualPart, ...]:
    """
    Read what a URDF draws, all links put together with their joints at zero.

    :param path: the URDF file.
    :param up: roll, pitch, yaw in radians by which the whole is turned.
    :returns: the parts in the frame of the root link.
    :raises ValueError: when the file draws a shape that URDF does not know.
    """
    robot = ElementTree.parse(path).getroot()
    colours: dict[str, tuple[float, ...]] = {}
    for material in robot.iter('material'):
        colour = material.find('color')
        if colour is not None:
            colours.setdefault(material.get('name', ''), _numbers(colour.get('rgba'), ()))
    skeleton = _Skeleton(robot)
    turn = transform(rotation_rpy(*up))
    parts = []
    for link in robot.findall('link'):
        for visual in link.findall('visual'):
            shape = visual.find('geometry/*')
            if shape is None:
                continue
            mesh = ''
            if shape.tag == 'mesh':
                mesh = str(path.parent / shape.get('filename', ''))
                size = _numbers(shape.get('scale'), (1.0, 1.0, 1.0))
            elif shape.tag == 'box':
                size = _numbers(shape.get('size'), ())
            elif shape.tag == 'cylinder':
                size = _numbers(f'{shape.get("radius")} {shape.get("length")}', ())
            elif shape.tag == 'sphere':
                size = _numbers(shape.get('radius'), ())
            else:
                raise ValueError(f'{path}: a visual is a <{shape.tag}>, expected mesh, box, '
                                 'cylinder or sphere')
            painted = visual.find('material')
            name = painted.get('name', '') if painted is not None else ''
            r, g, b, a = colours.get(name, (1.0, 1.0, 1.0, 1.0))
            pose = turn @ skeleton.pose(link.get('name', '')) @ _origin(visual)
            parts.append(VisualPart(shape.tag, mesh, size, pose, (r, g, b, a)))
    return tuple(parts)


def _vector(values: Array | tuple[float, ...]) -> str:
    return ' '.join(repr(float(value)) for value in values)


def _shape_xml(kind: str, size: tuple[float, ...], mesh: str = '') -> str:
    if kind == 'mesh':
        return f'<mesh filename="{mesh}" scale="{_vector(size)}"/>'
    if kind == 'box':
        return f'<box size="{_vector(size)}"/>'
    if kind == 'cylinder':
        return f'<cylinder radius="{size[0]!r}" length="{size[1]!r}"/>'
    return f'<sphere radius="{size[0]!r}"/>'


def _origin_xml(pose: Array) -> str:
    return f'<origin xyz="{_vector(pose[:3, 3])}" rpy="{_vector(rpy_of(pose[:3, :3]))}"/>'


def _colliders(collider: Collider, extent: Array) -> list[tuple[str, tuple[float, ...], Array]]:
    """Choose primitives that fill a bounding box of these sides around the origin."""
    x, y, z = extent.tolist()
    if collider is Collider.SPHERE:
        return [('sphere', (max(x, y, z) / 2,), np.eye(4))]
    if collider is Collider.CYLINDER:
        return [('cylinder', (min(x, y) / 2, z), np.eye(4))]
    if collider is Collider.TRAY:
        # Only the bottom, so that things can lie in it.
        return [('box', (0.8 * x, 0.8 * y, 0.2 * z), transform(translation=(0, 0, -0.4 * z)))]
    if collider is Collider.TABLE:
        top = ('box', (x, y, 0.12 * z), transform(translation=(0.0, 0.0, 0.44 * z)))
        leg = (0.1 * x, 0.1 * y, 0.9 * z)
        legs = [('box', leg, transform(translation=(a * x, b * y, -0.05 * z)))
                for a in (-0.42, 0.42) for b in (-0.42, 0.42)]
        return [top, *legs]
    return [('box', (x, y, z), np.eye(4))]


def body_urdf(parts: tuple[VisualPart, ...], centre: Array, extent: Array, collider: Collider,
              scale: float, colours: tuple[Colour, ...]) -> str:
    """
    Write a one-link URDF of an object, scaled, with its origin and its one kilogram at the centre.

    :param parts: what is drawn, in the file's units.
    :param centre: (3,) point that becomes the origin, in the file's units.
    :param extent: (3,) sides of the bounding box, in the file's units.
    :param collider: shape in the physics.
    :param scale: metres for one of the file's units.
    :param colours: one RGBA for each part, each 0..1.
    :returns: the URDF's text.
    """
    lines = ['<robot name="object"><link name="body">']
    sides = extent * scale
    inertia = _MASS / 12.0 * (np.sum(sides ** 2) - sides ** 2)
    lines.append(
        f'<inertial><mass value="{_MASS!r}"/><inertia ixx="{float(inertia[0])!r}" ixy="0" ixz="0" '
        f'iyy="{float(inertia[1])!r}" iyz="0" izz="{float(inertia[2])!r}"/></inertial>')
    for number, (part, rgba) in enumerate(zip(parts, colours, strict=True)):
        pose = part.pose.copy()
        pose[:3, 3] = (pose[:3, 3] - centre) * scale
        size = tuple(float(value * scale) for value in part.size)
        lines.append(
            f'<visual>{_origin_xml(pose)}<geometry>{_shape_xml(part.kind, size, part.mesh)}'
            f'</geometry><material name="m{number}"><color rgba="{_vector(rgba)}"/></material>'
            '</visual>')
    for shape, size, pose in _colliders(collider, sides):
        lines.append(f'<collision>{_origin_xml(pose)}<geometry>{_shape_xml(shape, size)}'
                     '</geometry></collision>')
    lines.append('</link></robot>')
    return '\n'.join(lines)
