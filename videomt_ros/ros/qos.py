"""
Ask of a publisher what it offers.

A subscription that asks for ``reliable`` gets nothing at all from a publisher that offers
``best_effort``, and DDS says so in neither's log. Asking for ``best_effort`` always connects, but
gives up the repair of lost images where the publisher would have offered it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

AUTO = 'auto'
_UNKNOWN = '_NODE_NAME_UNKNOWN_'  # rmw tells of an endpoint before it tells whose it is
_BY_NAME = {'reliable': ReliabilityPolicy.RELIABLE, 'best_effort': ReliabilityPolicy.BEST_EFFORT}

# Reliability has an override of its own, see reliability_setting().
OVERRIDES = QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH))


@dataclass(frozen=True)
class Offer:
    """
    What one publisher of a topic offers.

    :param publisher: full name of its node.
    :param type_name: of its messages, such as ``sensor_msgs/msg/Image``.
    :param reliability: ``reliable`` or ``best_effort``.
    """

    publisher: str
    type_name: str
    reliability: str


def offers(node: Node, topic: str) -> list[Offer]:
    """
    List the publishers of a topic.

    :param node: that asks; it may stand in any namespace.
    :param topic: full name, remapped already.
    :returns: in the order in which the middleware lists them; empty before discovery.
    """
    return [
        Offer(publisher=_node_name(info),
              type_name=info.topic_type,
              reliability='best_effort' if info.qos_profile.reliability
              == ReliabilityPolicy.BEST_EFFORT else 'reliable')
        for info in node.get_publishers_info_by_topic(topic)]


def _node_name(info: TopicEndpointInfo) -> str:
    if info.node_name == _UNKNOWN:
        return 'a node of yet unknown name'
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def reliability_to_ask(setting: str, found: Sequence[Offer], asked: str) -> str:
    """
    Choose the reliability of a subscription.

    :param setting: ``auto``, or the reliability that the user wants.
    :param found: publishers of the right type.
    :param asked: what the subscription asks now.
    :returns: for ``auto`` what all the publishers can serve; unchanged while there are none.
    """
    if setting != AUTO:
        return setting
    if not found:
        return asked
    every = all(offer.reliability == 'reliable' for offer in found)
    return 'reliable' if every else 'best_effort'


def refused(found: Sequence[Offer], asked: str) -> list[Offer]:
    """
    List the publishers that cannot serve a subscription.

    :param found: publishers of the right type.
    :param asked: reliability of the subscription.
    :returns: those that offer less.
    """
    return [offer for offer in found if asked == 'reliable' and offer.reliability == 'best_effort']


def image_profile(reliability: str, kept: int = 1) -> QoSProfile:
    """
    Give the profile of an image subscription.

    :param reliability: ``reliable`` or ``best_effort``.
    :param kept: images that wait for the callback at most.
    :returns: keep the newest, volatile.
    """
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=kept,
                      reliability=_BY_NAME[reliability], durability=DurabilityPolicy.VOLATILE)


def reliability_setting(node: Node, topic: str, default: str) -> str:
    """
    Read the standard QoS override for the reliability of a topic.

    rclpy's own declaration would freeze the first answer of ``auto``.

    :param node: that subscribes.
    :param topic: full name.
    :param default: value of the parameter ``reliability``.
    :returns: ``auto``, ``reliable`` or ``best_effort``.
    :raises ValueError: the override is none of these.
    """
    name = f'qos_overrides.{topic}.subscription.reliability'
    if not node.has_parameter(name):
        node.declare_parameter(name, default, ParameterDescriptor(
            description=f'Reliability to ask of the publishers of {topic}.', read_only=True))
    setting = node.get_parameter(name).value
    if setting not in (AUTO, *_BY_NAME):
        raise ValueError(f'Parameter {name} is {setting!r}; expected auto, reliable or '
                         'best_effort.')
    return str(setting)
