"""News by GossipSub v1.1: best effort, signed by its publisher, bounded both ways.

What goes out is limited by us (`PUBLISH_PER_SECOND_MAX`), what comes in by forwarder
(`FORWARDED_PER_SECOND_MAX`); everything over a limit is dropped and counted. Losses are repaired
by whoever needs the news (anti-entropy over streams). v1.1, not 1.2: the latter sends an
IDONTWANT for each small message.

Protocol: the libp2p GossipSub v1.1 specification.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libp2p.pubsub.gossipsub as gossipsub
import trio
from google.protobuf.message import DecodeError
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from node.faults import Faults
from node.host import Host, read_public_key
from node.libp2p_shims import consume_signed_record_once
from node.log_lines import about
from node.yamux import shield_for

logger = logging.getLogger("econode.gossip")

GOSSIP_BYTES_MAX = 64 * 1024  # data of one message
RPC_BYTES_MAX = 512 * 1024
RPC_ENTRIES_MAX = 512  # messages, subscriptions and control entries of one RPC
PUBLISH_PER_SECOND_MAX = 20.0
PUBLISH_BURST_MAX = 40
PUBLISH_QUEUE_MAX = 64
FORWARDED_PER_SECOND_MAX = 500.0
FORWARDED_BURST_MAX = 1000
GOSSIP_QUEUE_MAX = 1024
TOPICS_MAX = 64
TOPIC_CHARS_MAX = 128
HEARTBEAT_SECONDS = 1
MESH_DEGREE, MESH_DEGREE_LOW, MESH_DEGREE_HIGH = 6, 4, 12
SEEN_SECONDS = 120
HOUSEKEEPING_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class GossipMessage:
    """One message of another peer; `source` is the public key that signed it."""

    topic: str
    data: bytes
    source: bytes


class RateLimit:
    """A token bucket; `take` says whether one more may pass at `now` (seconds)."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._at = float(burst), 0.0

    def take(self, now: float) -> bool:
        if self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class GuardedGossipSub(gossipsub.GossipSub):
    """The router; a failing heartbeat is logged and starts again."""

    async def heartbeat(self) -> None:
        while True:
            try:
                await super().heartbeat()
            # Its state is shaped by what peers send; a surprise there must not end the node.
            except Exception:
                logger.warning(
                    "the gossip heartbeat failed and starts again",
                    exc_info=True,
                    extra=about("gossip_heartbeat_failed"),
                )
                await trio.sleep(HEARTBEAT_SECONDS)


class GuardedPubsub(Pubsub):
    """Pubsub whose reading of a peer's stream is bounded and ends that stream at worst."""

    def __init__(self, *args: Any, faults: Faults, **options: Any) -> None:
        super().__init__(*args, **options)
        self._faults = faults
        # int(time.time()), as shipped, repeats numbers after a restart when more than one message
        # a second was published: peers then take all news for old, for SEEN_SECONDS.
        self.counter = time.time_ns()
        self.violations = 0
        self.forward_drops = 0
        self._forwarders: dict[ID, RateLimit] = {}

    async def continuously_read_stream(self, stream: Any) -> None:
        peer_id = stream.muxed_conn.peer_id
        try:
            while self.manager.is_running:
                raw = await read_varint_prefixed_bytes_limited(stream, self.max_inbound_rpc_size)
                rpc = rpc_pb2.RPC()
                rpc.ParseFromString(raw)
                if _count_entries(rpc) > RPC_ENTRIES_MAX:
                    raise DecodeError(f"more than {RPC_ENTRIES_MAX} entries")
                await self._accept_rpc(peer_id, rpc)
        except DecodeError as error:
            self._refuse(peer_id, f"gossip stream closed: {error}")
        except BaseLibp2pError as error:
            logger.debug(
                "gossip stream of %s ended: %r", peer_id, error, extra=about("gossip_stream_ended")
            )
        finally:
            with shield_for(1):
                await stream.reset()

    async def _accept_rpc(self, peer_id: ID, rpc: Any) -> None:
        if not consume_signed_record_once(rpc, self.host, peer_id):
            rpc.ClearField("senderRecord")  # a bad address record spoils nothing else
        for subscription in rpc.subscriptions:
            if len(subscription.topicid) <= TOPIC_CHARS_MAX:
                self.handle_subscription(peer_id, subscription)
        for message in rpc.publish:
            if self._is_subscribed_to_msg(message):
                await self._accept_message(peer_id, message)
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer_id)

    async def _accept_message(self, peer_id: ID, message: Any) -> None:
        limit = self._forwarders.get(peer_id)
        if limit is None:
            limit = RateLimit(FORWARDED_PER_SECOND_MAX, FORWARDED_BURST_MAX)
            self._forwarders[peer_id] = limit
        if not limit.take(trio.current_time()):
            self.forward_drops += 1
            return
        if len(message.topicIDs) != 1 or len(message.data) > GOSSIP_BYTES_MAX:
            self._refuse(peer_id, "a gossip message without its one topic, or too large")
            return
        try:
            await self.push_msg(peer_id, message)
        # The library decodes a stranger's keys and ids in here; one message is lost, no more.
        except Exception as error:
            self._refuse(peer_id, f"gossip message: {error!r}")

    def _refuse(self, peer_id: ID, reason: str) -> None:
        self.violations += 1
        key = read_public_key(peer_id)
        if key is not None:
            self._faults.note(key, reason)

    def forget_gone_peers(self) -> None:
        """Drop the rate limits of peers that left."""
        for peer_id in self._forwarders.keys() - self.peers.keys():
            del self._forwarders[peer_id]


def _count_entries(rpc: Any) -> int:
    control = rpc.control
    ids = sum(len(entry.messageIDs) for entry in (*control.ihave, *control.iwant))
    lists = (rpc.publish, rpc.subscriptions, control.graft, control.prune, control.ihave)
    return sum(map(len, lists)) + ids // 16


class Gossip:
    """The node's gossip: `publish` never waits, `messages` is what came in.

    Args of `subscribe`: `validate(source, data) -> bool` decides whether a message is delivered
    and passed on; one that raises counts as no.
    """

    def __init__(self, host: Host, own_key: bytes, faults: Faults) -> None:
        self._own_key = own_key
        self.router = GuardedGossipSub(
            [gossipsub.PROTOCOL_ID_V11],
            degree=MESH_DEGREE,
            degree_low=MESH_DEGREE_LOW,
            degree_high=MESH_DEGREE_HIGH,
            heartbeat_interval=HEARTBEAT_SECONDS,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,  # 10 a second, silently, own messages too
            eclipse_protection_enabled=False,  # wants three addresses in each mesh
        )
        self.pubsub = GuardedPubsub(
            host.libp2p,
            self.router,
            seen_ttl=SEEN_SECONDS,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            faults=faults,
        )
        self.publish_drops = 0
        self.delivery_drops = 0
        self._limit = RateLimit(PUBLISH_PER_SECOND_MAX, PUBLISH_BURST_MAX)
        self._outgoing_in, self._outgoing = trio.open_memory_channel[tuple[str, bytes]](
            PUBLISH_QUEUE_MAX
        )
        self._messages_in, self.messages = trio.open_memory_channel[GossipMessage](GOSSIP_QUEUE_MAX)
        self._nursery: trio.Nursery | None = None

    def publish(self, topic: str, data: bytes) -> None:
        """Tell the network, if the rate limit allows; otherwise a counted drop."""
        if len(data) > GOSSIP_BYTES_MAX:
            raise ValueError(f"a gossip message has at most {GOSSIP_BYTES_MAX} bytes")
        try:
            if not self._limit.take(time.monotonic()):
                raise trio.WouldBlock
            self._outgoing_in.send_nowait((topic, data))
        except trio.WouldBlock:
            self.publish_drops += 1

    async def run(self) -> None:
        """Publish, deliver and keep house until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._keep_house)
            async for topic, data in self._outgoing:
                try:
                    await self.pubsub.publish(topic, data)
                # Best effort: a peer that leaves while it is told raises in many ways.
                except Exception as error:
                    self.publish_drops += 1
                    logger.info(
                        "a message to %s was not published: %r",
                        topic,
                        error,
                        extra=about("gossip_not_published", topic=topic),
                    )

    async def subscribe(
        self, topic: str, validate: Callable[[bytes, bytes], bool] | None = None
    ) -> None:
        """Deliver `topic` from now on. Only while `run` does."""
        if self._nursery is None:
            raise RuntimeError("the transport is not running")
        if topic in self.pubsub.topic_ids:
            return
        if len(self.pubsub.topic_ids) >= TOPICS_MAX or len(topic) > TOPIC_CHARS_MAX:
            raise ValueError(f"at most {TOPICS_MAX} topics of {TOPIC_CHARS_MAX} characters")
        self.pubsub.set_topic_validator(topic, _guard(validate), False)
        subscription = await self.pubsub.subscribe(topic)
        self._nursery.start_soon(self._deliver, topic, subscription)

    async def _deliver(self, topic: str, subscription: Any) -> None:
        while True:
            message = await subscription.get()
            source = read_public_key(ID(message.from_id))
            if source is None or source == self._own_key:
                continue
            try:
                self._messages_in.send_nowait(GossipMessage(topic, message.data, source))
            except trio.WouldBlock:
                self.delivery_drops += 1

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_SECONDS)
            # A time for each message ever seen; only read by the adaptive mode that is off.
            self.router.recent_message_deliveries.clear()
            self.pubsub.forget_gone_peers()


def _guard(validate: Callable[[bytes, bytes], bool] | None) -> Callable[[Any, Any], bool]:
    def guarded(_forwarder: Any, message: Any) -> bool:
        source = read_public_key(ID(message.from_id))
        if source is None:
            return False
        try:
            return validate is None or validate(source, message.data)
        # A validator's defect is one refused message; unguarded it ends the process.
        except Exception:
            logger.warning(
                "a gossip validator raised; the message is refused",
                exc_info=True,
                extra=about("gossip_validator_failed"),
            )
            return False

    return guarded
