"""
The parameters of the node: one table, which is also the record of their values.

A field of :class:`Settings` is a parameter. Its default, description, limits and the moment at
which it is read stand there and nowhere else; declaration, validation and help follow from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, Field, field, fields, replace
from enum import Enum
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter
from videomt_ros.network.config import MASK_PARTS, RESIZE_RULES
from videomt_ros.perception.engines import ENGINES
from videomt_ros.perception.segmenter import PRECISIONS, TASKS
from videomt_ros.perception.tracks import TrackRules
from videomt_ros.ros.outputs import OUTPUTS

_RULES = TrackRules()


class When(Enum):
    """The moment at which a parameter takes effect."""

    START = 'Read once, when the process starts.'
    CONFIGURE = 'Read in configure; set it while the node is unconfigured.'
    FRAME = 'Takes effect with the next image.'


class ParameterError(ValueError):
    """Say in one sentence which parameter has which bad value, and what was expected."""


def _parameter(default: Any, description: str, when: When, low: float | None = None,
               high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """
    Describe one parameter.

    :param default: of the type that the parameter has; a tuple is a list of strings.
    :param description: one sentence for ``ros2 param describe``.
    :param when: it takes effect.
    :param low: least number allowed.
    :param high: greatest number allowed.
    :param choices: the strings allowed, of a list for each item; empty for any.
    :returns: a dataclass field.
    """
    return field(default=default, metadata={
        'description': description, 'when': when, 'low': low, 'high': high, 'choices': choices})


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one moment."""

    autostart: bool = _parameter(
        True, 'Configure and activate by itself; false leaves that to a lifecycle manager.',
        When.START)
    cameras: tuple[str, ...] = _parameter(
        (), "Names of the cameras, each with its topics <name>/image and ~/<name>/...; [''] is "
        'one camera on image and ~/.', When.CONFIGURE)
    image_transport: str = _parameter(
        'raw', 'Type of the images: raw (sensor_msgs/Image) or compressed '
        '(sensor_msgs/CompressedImage, on the topic image/compressed).', When.CONFIGURE,
        choices=('raw', 'compressed'))
    reliability: str = _parameter(
        'auto', 'Reliability to ask of the camera; auto asks for what it offers.',
        When.CONFIGURE, choices=('auto', 'reliable', 'best_effort'))
    checkpoint: str = _parameter(
        '', 'Weights: a folder in the Hugging Face layout, an original .pth file, a hub id, or '
        'empty for those that come with the package.', When.CONFIGURE)
    task: str = _parameter(
        'instance', 'What is made of a frame.', When.CONFIGURE, choices=tuple(TASKS))
    device: str = _parameter(
        'auto', 'Where the network runs: auto, cpu, cuda, cuda:1, ...', When.CONFIGURE)
    precision: str = _parameter(
        'auto', 'Number format of the network; auto is fp16 on CUDA, else fp32. int8 (openvino) '
        'has to be made by videomt_export before.', When.CONFIGURE,
        choices=('auto', *PRECISIONS))
    engine: str = _parameter(
        'auto', 'What runs the network; auto is openvino on a CPU where it is installed, '
        'cudagraph on CUDA, else eager.', When.CONFIGURE,
        choices=ENGINES)
    resize: str = _parameter(
        'auto', 'How images are brought to the size of the weights; auto is as they were trained.',
        When.CONFIGURE, choices=('auto', *RESIZE_RULES))
    classes: tuple[str, ...] = _parameter(
        (), "Names of the classes that are wanted; [''] is all.", When.FRAME)
    start_score: float = _parameter(
        _RULES.start_score, 'Score at which a track starts.', When.FRAME, low=0.0, high=1.0)
    keep_score: float = _parameter(
        _RULES.keep_score, 'Score down to which a track goes on; at most start_score.', When.FRAME,
        low=0.0, high=1.0)
    confirm_frames: int = _parameter(
        _RULES.confirm_frames, 'Frames in which a new object is seen until its track is TRACKED.',
        When.FRAME, low=1, high=1000)
    min_area: float = _parameter(
        _RULES.min_area, 'Smallest mask that counts as seen, as a share of the image.', When.FRAME,
        low=0.0, high=1.0)
    score_threshold: float = _parameter(
        _RULES.score_threshold, 'Task panoptic: probability of its class that a segment must '
        'exceed.', When.FRAME, low=0.0, high=1.0)
    overlap_threshold: float = _parameter(
        _RULES.overlap_threshold, 'Task panoptic: share of its own mask that a segment must win '
        'from the others.', When.FRAME, low=0.0, high=1.0)
    mask_parts: str = _parameter(
        'auto', 'Of a mask that falls into parts, all are the object, or the main one is, which '
        'does not leap to another place either, and no two tracks are in one place, but one goes '
        'over to a query that shows it much better; auto is as the weights want it.', When.FRAME,
        choices=('auto', *MASK_PARTS))
    max_lost: float = _parameter(
        _RULES.max_lost, 'Seconds for which a LOST track waits for its object.', When.FRAME,
        low=0.0, high=3600.0)
    max_gap: float = _parameter(
        5.0, 'Seconds between two images after which the memory is reset.', When.FRAME, low=0.01,
        high=3600.0)
    max_age: float = _parameter(
        0.0, 'Seconds by which the node clock may be past the stamp of an image when its turn '
        'comes; an older image is dropped and counted. 0 is any age.', When.FRAME, low=0.0,
        high=3600.0)
    max_rate: float = _parameter(
        0.0, 'Images per second of each camera that are run at most, to save power; the others '
        'are dropped and counted. 0 is no limit.', When.FRAME, low=0.0, high=1000.0)
    max_failures: int = _parameter(
        10, 'Failures of the network in a row, over all cameras, after which the node gives up: '
        'it deactivates, and waits unconfigured with its error in the diagnostics.', When.FRAME,
        low=1, high=1_000_000)
    depth_tolerance: float = _parameter(
        0.02, 'Seconds by which the stamp of a depth image may differ from that of the image.',
        When.FRAME, low=0.0, high=10.0)
    target_frame: str = _parameter(
        '', "Frame of positions, sizes and markers, reached through /tf at the image's stamp; "
        "empty for the camera's optical frame.", When.CONFIGURE)
    transform_tolerance: float = _parameter(
        0.1, 'Seconds before the image up to which the newest known transform still holds.',
        When.FRAME, low=0.0, high=10.0)
    points_background: bool = _parameter(
        False, 'Put the points without a track into ~/points as well, with label 0.', When.FRAME)
    publish_mask_runs: bool = _parameter(
        True, 'Fill Track.mask_counts, the mask of each track as run lengths.', When.FRAME)
    outputs: tuple[str, ...] = _parameter(
        (), "Outputs that may be made while somebody listens, beside the tracks; [''] is all.",
        When.FRAME, choices=tuple(name for name, output in OUTPUTS.items() if output.lazy))
    image_timeout: float = _parameter(
        5.0, 'Seconds without an image after which the log and the diagnostics say why.',
        When.FRAME, low=0.1, high=3600.0)


def loading_options(settings: Settings) -> dict[str, Any]:
    """
    Give what a segmenter is built with, beside its checkpoint and :func:`tracking_options`.

    :param settings: of the node.
    :returns: arguments for ``VideoSegmenter.from_pretrained``.
    """
    return {name: getattr(settings, name)
            for name in ('task', 'device', 'precision', 'engine', 'resize')}


def tracking_options(settings: Settings) -> dict[str, Any]:
    """
    Give what can change between two frames.

    :param settings: of the node.
    :returns: arguments for ``VideoSegmenter.configure``.
    """
    names = ('start_score', 'keep_score', 'confirm_frames', 'min_area', 'score_threshold',
             'overlap_threshold', 'mask_parts', 'max_lost', 'max_gap')
    return {'classes': settings.classes or None,
            **{name: getattr(settings, name) for name in names}}


def least_score(settings: Settings) -> float:
    """
    Give the score that a mask has at least.

    :param settings: of the node.
    :returns: 0 to 1.
    """
    return {'instance': settings.keep_score, 'panoptic': settings.score_threshold}.get(
        settings.task, 0.0)


def _limits(spec: Field[Any]) -> str:
    """
    Word the limits of a parameter.

    :param spec: of the parameter.
    :returns: such as ``0.0 to 1.0`` or ``one of raw, compressed``; empty without limits.
    """
    if spec.metadata['choices']:
        return f'one of {", ".join(spec.metadata["choices"])}'
    if spec.metadata['low'] is not None:
        return f'{spec.metadata["low"]} to {spec.metadata["high"]}'
    return ''


def _descriptor(spec: Field[Any]) -> ParameterDescriptor:
    """
    Describe a parameter to ROS.

    :param spec: of the parameter.
    :returns: with description, range and the moment of effect.
    """
    data = spec.metadata
    constraints = [f'Allowed: {_limits(spec)}.'] if data['choices'] else []
    descriptor = ParameterDescriptor(
        description=data['description'], read_only=data['when'] is When.START,
        additional_constraints=' '.join([*constraints, data['when'].value]))
    if data['low'] is not None:
        if isinstance(spec.default, int):
            descriptor.integer_range = [IntegerRange(from_value=data['low'],
                                                     to_value=data['high'])]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=data['low'],
                                                                  to_value=data['high'])]
    return descriptor


def _complaint(spec: Field[Any], value: Any) -> str | None:
    """
    Look for what is wrong with a value.

    :param spec: of the parameter.
    :param value: of its type.
    :returns: a sentence, or None for a good value.
    """
    choices, low, high = (spec.metadata[key] for key in ('choices', 'low', 'high'))
    bad = choices and not set(value if isinstance(value, tuple) else (value,)) <= set(choices)
    if bad or (low is not None and not low <= value <= high):
        shown = list(value) if isinstance(value, tuple) else value
        return f'{spec.name} is {shown!r}; expected {_limits(spec)}'
    return None


def _joint_complaint(settings: Settings) -> str | None:
    """
    Look for values that do not go together.

    :param settings: all values, each good by itself.
    :returns: a sentence, or None.
    """
    if settings.keep_score > settings.start_score:
        return (f'keep_score is {settings.keep_score}; expected at most start_score = '
                f'{settings.start_score}')
    return None


def _to_field(spec: Field[Any], value: Any) -> Any:
    """
    Turn the value of a ROS parameter into that of its field.

    :param spec: of the parameter.
    :param value: as ROS has it; None where a file gives an empty list.
    :returns: lists as tuples without empty strings, anything else as it is.
    """
    if isinstance(spec.default, tuple):
        return tuple(item for item in value or () if item)
    return spec.default if value is None else value


class Parameters:
    """
    The parameters of one node, declared and guarded.

    :param node: to declare them on.
    :param configured: tells whether the node is between configure and cleanup, when what
        configure has read must stay.
    :param veto: asked last about settings that are to take effect; gives the reason to refuse
        them, or None.
    :raises ParameterError: a value given at the start is bad.
    """

    def __init__(self, node: Node, configured: Callable[[], bool],
                 veto: Callable[[Settings], str | None]) -> None:
        self._specs = {spec.name: spec for spec in fields(Settings)}
        self._veto = veto
        self._configured = configured
        self.settings = Settings(**{name: self._declare(node, spec)
                                    for name, spec in self._specs.items()})
        if complaint := _joint_complaint(self.settings):
            raise ParameterError(f'Parameter {complaint}.')
        node.add_on_set_parameters_callback(self._on_set)

    @staticmethod
    def _declare(node: Node, spec: Field[Any]) -> Any:
        """
        Declare one parameter.

        :param node: to declare it on.
        :param spec: of the parameter.
        :returns: the value for its field.
        :raises ParameterError: the value given at the start is bad.
        """
        # rclpy takes an empty list for a list of bytes.
        default = [''] if spec.default == () else spec.default
        try:
            given = node.declare_parameter(spec.name, default, _descriptor(spec)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            kind = 'list of strings' if spec.default == () else type(spec.default).__name__
            raise ParameterError(f'Parameter {spec.name} is refused; expected '
                                 f'{kind} {_limits(spec)}'.rstrip() + f': {error}') from error
        value = _to_field(spec, given)
        if complaint := _complaint(spec, value):
            raise ParameterError(f'Parameter {complaint}.')
        return value

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        """
        Take new values, all or none.

        :param parameters: any of the node's, ours or not.
        :returns: success, or the reason why not.
        """
        ours = [parameter for parameter in parameters if parameter.name in self._specs]
        changes: dict[str, Any] = {}
        for parameter in ours:
            spec = self._specs[parameter.name]
            if self._configured() and spec.metadata['when'] is When.CONFIGURE:
                return SetParametersResult(successful=False, reason=(
                    f'{parameter.name} is read in configure and cannot change now; first take the '
                    'node to the state unconfigured (transition cleanup)'))
            value = _to_field(spec, parameter.value)
            if complaint := _complaint(spec, value):
                return SetParametersResult(successful=False, reason=complaint)
            changes[parameter.name] = value
        settings = replace(self.settings, **changes)
        if complaint := _joint_complaint(settings) or self._veto(settings):
            return SetParametersResult(successful=False, reason=complaint)
        self.settings = settings
        return SetParametersResult(successful=True)


def parameter_defaults() -> dict[str, Any]:
    """
    List every parameter with its default.

    :returns: name to value, as a params file has it.
    """
    return {name: [''] if value == () else value for name, value in asdict(Settings()).items()}
