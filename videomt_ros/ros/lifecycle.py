"""
The node ``videomt``: a lifecycle node that turns camera images into masks and tracks.

configure loads the weights and warms them up, activate opens the streams, deactivate closes them,
cleanup gives all memory back. With ``autostart`` it goes through the first two by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import SetBool, Trigger
from videomt_ros.perception import VideoSegmenter
from videomt_ros.ros.camera import Camera
from videomt_ros.ros.depth_pairing import KEPT
from videomt_ros.ros.diagnostics import array_message, status_message, unconfigured_message
from videomt_ros.ros.image_input import ImageInput
from videomt_ros.ros.memory import give_memory_back, memory_values
from videomt_ros.ros.parameters import (
    least_score,
    loading_options,
    Parameters,
    Settings,
    tracking_options,
)
from videomt_ros.ros.qos import OVERRIDES
from videomt_ros.ros.transform_input import transform_message_type, TransformInput
from videomt_ros.ros.transforms import TransformBuffer
from videomt_ros.ros.worker import Worker

_WATCH_PERIOD_S = 0.5
_DIAGNOSTICS_PERIOD_S = 1.0
_WARM_UP_SIZE = 480, 640  # rows and columns; what else comes costs its first frame some time


class VideomtNode(LifecycleNode):
    """
    The lifecycle of the weights, the cameras and the worker.

    :param arguments: for ``rclpy.node.Node``, such as ``parameter_overrides``.
    :raises ParameterError: a parameter given at the start is bad.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__('videomt', **arguments)
        self._segmenter: VideoSegmenter | None = None
        self._cameras: list[Camera] = []
        self._inputs: dict[Camera, ImageInput] = {}
        self._infos: list[Subscription] = []
        self._depths: dict[Camera, ImageInput] = {}
        self._transforms: TransformBuffer | None = None
        self._transform_input: TransformInput | None = None
        self._worker: Worker | None = None
        self._paused = False
        self._failure: str | None = None  # why the node has given up
        self._hardware = ''
        self._complaints: dict[ImageInput, str] = {}
        self._jumps = self.get_clock().create_jump_callback(  # as long as this is held
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump)
        self.parameters = Parameters(self, lambda: self._segmenter is not None, self._veto)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_service(SetBool, '~/set_enabled', self._on_set_enabled)
        self.create_service(Trigger, '~/process_once', self._on_process_once)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self.create_timer(_WATCH_PERIOD_S, self._watch, clock=steady)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._report, clock=steady)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Load the weights, run them once, and create the publishers.

        :param state: before the transition.
        :returns: FAILURE when that cannot be done; the log says why.
        """
        return self._attempt('configure', self._configure, self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Open the streams.

        :param state: before the transition.
        :returns: FAILURE when that cannot be done; the log says why.
        """
        super().on_activate(state)
        result = self._attempt('activate', self._open, self._close)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Close the streams; the weights stay.

        :param state: before the transition.
        :returns: SUCCESS; ERROR when the network is given up, which leads to :meth:`on_error`.
        """
        self._failure = self._worker.broken if self._worker is not None else None
        self._close()
        result = super().on_deactivate(state)
        return result if self._failure is None else TransitionCallbackReturn.ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Give back the weights and the publishers.

        :param state: before the transition.
        :returns: SUCCESS.
        """
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Give back everything, from any state.

        :param state: before the transition.
        :returns: SUCCESS.
        """
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """
        Give back everything after a failed transition, or when the network is given up.

        :param state: before the transition.
        :returns: SUCCESS: the node may be configured again.
        """
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker before the node goes."""
        self._release()
        self._jumps.unregister()
        super().destroy_node()

    def _attempt(self, what: str, action: Callable[[], None],
                 undo: Callable[[], None]) -> TransitionCallbackReturn:
        """
        Make a transition that may fail.

        :param what: name of the transition.
        :param action: to be done.
        :param undo: called when it failed.
        :returns: SUCCESS or FAILURE.
        """
        try:
            action()
        except Exception as error:  # rclpy would drop it without a word
            undo()
            self.get_logger().error(f'Cannot {what}: {" ".join(str(error).split())}')
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        """Load the weights and create the publishers."""
        self._failure = None
        settings = self.parameters.settings
        names = settings.cameras or ('',)
        self._transforms = None
        if settings.target_frame:
            transform_message_type()  # rather now than in activate
            self._transforms = TransformBuffer()
        segmenter = self._segmenter = VideoSegmenter.from_pretrained(
            settings.checkpoint or None, **loading_options(settings), **tracking_options(settings))
        segmenter.warm_up(*_WARM_UP_SIZE, len(names))
        for name in names:
            self._cameras.append(Camera(self, name, settings.target_frame, self._transforms))
        weights = settings.checkpoint or 'embedded weights'
        self._hardware = f'{weights} on {segmenter.network.device}'
        self.get_logger().info(f'Configured: task {settings.task}, '
                               f'{segmenter.network.config.num_classes} classes, {self._hardware}')

    def _open(self) -> None:
        """Start the worker and subscribe to the images."""
        assert self._segmenter is not None
        settings = self.parameters.settings
        worker = self._worker = Worker(self._segmenter, lambda: self.parameters.settings,
                                       self.get_clock(), self.get_logger())
        worker.pause(self._paused)
        for camera in self._cameras:
            self._inputs[camera] = ImageInput(
                self, camera.image_topic, settings.image_transport, settings.reliability,
                partial(worker.offer, camera))
            self._infos.append(self.create_subscription(
                CameraInfo, camera.info_topic, camera.calibrate, qos_profile_sensor_data,
                qos_overriding_options=OVERRIDES))
            self._depths[camera] = ImageInput(
                self, camera.depth_topic, 'raw', settings.reliability, camera.locator.depths.add,
                optional=True, kept=KEPT)
        if self._transforms is not None:
            self._transform_input = TransformInput(self, self._transforms)
        self._announce()

    def _announce(self) -> None:
        """Tell which number stands for which class, where that is new."""
        assert self._segmenter is not None
        config, settings = self._segmenter.network.config, self.parameters.settings
        for camera in self._cameras:
            camera.outputs.announce(config.class_names, least_score(settings),
                                    self.get_clock().now().to_msg())

    def _veto(self, settings: Settings) -> str | None:
        """
        Refuse settings that do not fit the weights.

        :param settings: that are to take effect.
        :returns: the reason; None for good ones.
        """
        if self._segmenter is None:
            return None
        known = self._segmenter.network.config.class_names
        unknown = [name for name in settings.classes if name not in known]
        if unknown:
            return f'classes names {", ".join(unknown)}; the weights know {", ".join(known)}'
        return None

    def _close(self) -> None:
        """Unsubscribe and stop the worker."""
        for inputs in (self._inputs, self._depths):
            for image_input in inputs.values():
                image_input.close()
            inputs.clear()
        for subscription in self._infos:
            self.destroy_subscription(subscription)
        self._infos.clear()
        if self._transform_input is not None:
            self._transform_input.close()
            self._transform_input = None
        self._complaints.clear()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
            for camera in self._cameras:
                camera.outputs.clear(camera.markers)
                camera.locator.depths.clear()

    def _release(self) -> None:
        """Give back all that configure and activate have taken."""
        self._close()
        for camera in self._cameras:
            camera.outputs.close()
        self._cameras.clear()
        if self._segmenter is not None:
            self._segmenter = None
            give_memory_back()

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """
        Forget the tracks of all cameras; their epoch counts up with the next image.

        :param request: empty.
        :param response: to be filled.
        :returns: the response.
        """
        response.success = self._worker is not None
        response.message = 'the node is not active'
        if self._worker is not None:
            for camera in self._cameras:
                self._worker.reset(camera, 'reset was asked for')
            response.message = f'{len(self._cameras)} camera(s) start anew with their next image'
        return response

    def _on_set_enabled(self, request: SetBool.Request,
                        response: SetBool.Response) -> SetBool.Response:
        """
        Pause the node or let it go on; this holds in every state of the lifecycle.

        :param request: ``data`` is False for a pause.
        :param response: to be filled.
        :returns: the response.
        """
        self._paused = not request.data
        if self._worker is not None:
            self._worker.pause(self._paused)
        response.success = True
        response.message = ('paused: images are dropped, tracks wait' if self._paused
                            else 'enabled: images are processed while the node is active')
        self.get_logger().info(response.message)
        return response

    def _on_process_once(self, request: Trigger.Request,
                         response: Trigger.Response) -> Trigger.Response:
        """
        Answer one image of each camera in spite of a pause.

        :param request: empty.
        :param response: to be filled.
        :returns: the response.
        """
        if self._worker is None:
            response.message = 'the node is not active'
        elif self._worker.process_once(self._cameras):
            response.success = True
            response.message = f'the next image of {len(self._cameras)} camera(s) is processed'
        else:
            response.message = 'nothing is paused, see ~/set_enabled: every image is processed'
        return response

    def _on_clock_jump(self, jump: TimeJump) -> None:
        """
        Forget what a clock that goes back, or is another one now, has made meaningless.

        :param jump: how the time of the node has changed.
        """
        for camera in self._cameras:
            camera.statistics.forget_ages()
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE or self._worker is None:
            return
        after = self.get_clock().now().nanoseconds
        self._worker.clock_went_back(after - jump.delta.nanoseconds, after)
        self.get_logger().warning(
            f'The clock went back by {-jump.delta.nanoseconds / 1e9:.3f} s')

    def _watch(self) -> None:
        """Follow the publishers, log once why images do not come, and give up if need be."""
        if self._worker is not None and self._worker.broken is not None:
            self.get_logger().fatal(f'Giving up: {self._worker.broken}. The node deactivates, and '
                                    'waits unconfigured to be configured again.')
            self.trigger_deactivate()
            return
        if self._worker is not None:
            self._announce()
        for image_input in (*self._inputs.values(), *self._depths.values()):
            image_input.follow()
            complaint = image_input.complaint(self.parameters.settings.image_timeout)
            key = complaint.key if complaint else ''
            if key == self._complaints.get(image_input, ''):
                continue
            self._complaints[image_input] = key
            if complaint:
                self.get_logger().warning(complaint.text)
            else:
                self.get_logger().info(f'{image_input.topic}: images come again')

    def _report(self) -> None:
        """Publish the diagnostics."""
        timeout = self.parameters.settings.image_timeout
        name = self.get_fully_qualified_name().lstrip('/')
        device = self._segmenter.network.device if self._segmenter else None
        memory = memory_values(device)
        statuses = []
        if not self._cameras:
            statuses.append(unconfigured_message(name, self._failure))
        for camera in self._cameras:
            image_input, depth = self._inputs.get(camera), self._depths.get(camera)
            complaint = image_input.complaint(timeout) if image_input else None
            missing = depth.complaint(timeout) if depth else None
            misplaced = missing.text if missing else camera.locator.complaint()
            statuses.append(status_message(f'{name}: {camera}', self._hardware,
                                           camera.statistics.snapshot(), image_input, complaint,
                                           self._paused, memory, camera.outputs.heard(),
                                           camera.locator.state, misplaced))
        self._diagnostics.publish(array_message(self.get_clock().now().to_msg(), statuses))
