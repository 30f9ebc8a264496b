"""The subscription of one camera: it follows its publishers, and says why nothing comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import time

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from videomt_ros.ros.dds import large_image_remedy
from videomt_ros.ros.qos import (
    image_profile,
    Offer,
    offers,
    OVERRIDES,
    refused,
    reliability_setting,
    reliability_to_ask,
)
from videomt_ros.ros.stamps import nanoseconds

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_WINDOW_S = 10.0  # losses of the last seconds count
_LEAST_LOST, _LOST_SHARE = 5, 0.1  # from so many on, and above this share, something is wrong


@dataclass(frozen=True)
class Complaint:
    """
    Why images do not come.

    :param key: the same for as long as the reason and the publishers are the same.
    :param text: one sentence with the numbers of the moment, and the remedy.
    """

    key: str
    text: str


class ImageInput:
    """
    The newest images of one topic.

    :param node: that subscribes.
    :param topic: as the code names it; remapping applies.
    :param transport: ``raw`` or ``compressed``. Compressed images are looked for on
        ``<topic>/compressed``, as image_transport names it, and on the topic itself.
    :param reliability: ``auto``, ``reliable`` or ``best_effort``; an override for the topic wins.
    :param on_image: called with each image, in the executor's thread.
    :param optional: it is nothing to speak of when nobody publishes it.
    :param kept: images that wait for the callback at most.
    """

    def __init__(self, node: Node, topic: str, transport: str, reliability: str,
                 on_image: Callable[[Image | CompressedImage], None],
                 optional: bool = False, kept: int = 1) -> None:
        self._node = node
        self._on_image = on_image
        self._optional, self._kept = optional, kept
        self._type = CompressedImage if transport == 'compressed' else Image
        self._type_name = f'sensor_msgs/msg/{self._type.__name__}'
        base = node.resolve_topic_name(topic)
        self._topics = [f'{base}/compressed', base] if transport == 'compressed' else [base]
        self._settings = {name: reliability_setting(node, name, reliability)
                          for name in self._topics}
        self._subscription: Subscription | None = None
        self._retiring: Subscription | None = None  # still heard when its successor comes
        self._newest = -1  # nanoseconds of the newest image's stamp
        self._found: list[Offer] = []
        self._senders = 'its publisher'  # the latest that was seen
        self._arrived = time.monotonic()
        self._events: deque[tuple[float, bool]] = deque()  # (when, lost?) of each image
        self.topic = self._topics[0]
        self.asked = 'best_effort'  # connects to everybody while nobody is known
        self.follow()

    def close(self) -> None:
        """Unsubscribe."""
        self._retire()
        self._retiring, self._subscription = self._subscription, None
        self._retire()

    def _retire(self) -> None:
        if self._retiring is not None:
            self._node.destroy_subscription(self._retiring)
            self._retiring = None

    def follow(self) -> None:
        """Subscribe anew if the publishers have changed what they offer; call it regularly."""
        served = {name: offers(self._node, name) for name in self._topics}
        mine = {name: [offer for offer in found if offer.type_name == self._type_name]
                for name, found in served.items()}
        topic = next((name for name in self._topics if mine[name]), self.topic)
        asked = reliability_to_ask(self._settings[topic], mine[topic], self.asked)
        self._found = served[topic]
        self._retire()  # half a second after its successor came
        if self._subscription is not None and (topic, asked) == (self.topic, self.asked):
            return
        self._retiring = self._subscription
        self.topic, self.asked = topic, asked
        self._subscription = self._node.create_subscription(
            self._type, topic, partial(self._receive, (topic, asked)),
            image_profile(asked, self._kept),
            qos_overriding_options=OVERRIDES,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda _: self.follow(),  # complaint() words it better than DDS
                message_lost=lambda event: self._count(event.total_count_change, lost=True)))

    def _receive(self, hearer: tuple[str, str], image: Image | CompressedImage) -> None:
        """
        Take an image from DDS.

        :param hearer: topic and reliability of the subscription that has heard it.
        :param image: the message.
        """
        self._arrived = time.monotonic()
        self._count(1, lost=False)
        stamp = nanoseconds(image.header.stamp)
        if self._retiring is not None and hearer == (self.topic, self.asked):
            self._retire()
            if stamp <= self._newest:  # both have heard it
                return
        self._newest = stamp
        self._on_image(image)

    def _count(self, images: int, lost: bool) -> None:
        """
        Remember the fate of images.

        :param images: how many.
        :param lost: DDS knows of them, but they did not come whole.
        """
        self._events.extend([(time.monotonic(), lost)] * min(images, 1000))
        self._forget()

    def _forget(self) -> None:
        """Drop the images that were too long ago to count."""
        start = time.monotonic() - _WINDOW_S
        while self._events and self._events[0][0] < start:
            self._events.popleft()

    def lost(self) -> int:
        """
        Count the images that DDS lost.

        :returns: of the last 10 s.
        """
        self._forget()
        return sum(lost for _, lost in self._events)

    def publishers(self) -> str:
        """
        Name the publishers of the topic.

        :returns: each with what it offers; ``none`` without any.
        """
        return ', '.join(f'{offer.publisher} ({offer.reliability})'
                         for offer in self._found) or 'none'

    def complaint(self, timeout: float) -> Complaint | None:
        """
        Say why images do not come, with the remedy.

        :param timeout: seconds without an image that are nothing to speak of.
        :returns: None while all is well.
        """
        mine = [offer for offer in self._found if offer.type_name == self._type_name]
        if mine:
            self._senders = _names(mine)
        senders = self._senders  # what was lost stays the doing of a publisher now gone
        if losers := refused(mine, self.asked):
            return Complaint(f'refused {_names(losers)}', (
                f'{self.topic}: {_names(losers)} offers best_effort, but reliable is asked, so '
                "DDS does not connect them; set the parameter reliability to 'auto'"))
        lost, known = self.lost(), len(self._events)
        if lost >= _LEAST_LOST and lost > _LOST_SHARE * known:
            return Complaint('lost', (
                f'{self.topic}: DDS has lost {lost} of the last {known} images from {senders}, as '
                'Fast DDS does with best-effort images above 512 KB unless the sender has a '
                f'larger shared-memory segment; {large_image_remedy(senders)}'))
        if time.monotonic() - self._arrived < timeout:
            return None
        if mine:
            return Complaint(f'silent {senders}', (
                f'{self.topic}: {senders} is connected ({self.asked}), but no image has come for '
                f'{timeout:g} s: it has stopped, or its images are too large for its DDS '
                f'settings; {large_image_remedy(senders)}'))
        if self._found:
            return Complaint(f'type {_names(self._found)}', (
                f'{self.topic}: {_names(self._found)} publishes {self._found[0].type_name}; '
                f'expected {self._type_name}, see the parameter image_transport'))
        if self._optional:
            return None
        return Complaint('nobody', f'{self.topic}: nobody publishes {self._type_name} on it')


def _names(found: list[Offer]) -> str:
    """
    Name publishers.

    :param found: one or more.
    :returns: their nodes' names.
    """
    return ', '.join(dict.fromkeys(offer.publisher for offer in found))
