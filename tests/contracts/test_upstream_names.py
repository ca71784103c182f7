"""The names of faust-streaming and aiokafka that `streams/kafka/transport.py` leans on without their being public.

A new release that moves one fails here, by name, and not by losing records.
"""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.app.base import App
from faust.transport import conductor
from faust.transport import consumer as base
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from mode.threads import ServiceThread

from streams.settings import Settings
from streams.worker import RUNS_WAITING_MAX, make_app

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"

METHODS = [
    (driver.AIOKafkaConsumerThread, "__post_init__", []),
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["transport"]),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", []),
    (driver.AIOKafkaConsumerThread, "_fetch_records", ["consumer", "active_partitions"]),
    (driver.AIOKafkaConsumerThread, "on_partitions_revoked", ["revoked"]),
    (driver.AIOKafkaConsumerThread, "call_thread", ["fun"]),
    (driver.Consumer, "_new_consumer_thread", []),
    (driver.Consumer, "_to_message", ["tp", "record"]),
    (driver.Consumer, "perform_seek", []),
    (driver.Consumer, "assignment", []),
    (driver.Consumer, "earliest_offsets", ["partitions"]),
    (driver.Consumer, "highwaters", ["partitions"]),
    (driver.Consumer, "on_partitions_revoked", ["revoked"]),
    (driver.Consumer, "on_task_error", ["exc"]),
    (driver.Consumer, "_new_offset", ["tp"]),
    (driver.Consumer, "_add_gap", ["tp", "offset_from", "offset_to"]),
    (driver.Consumer, "on_buffer_full", ["tp"]),
    (driver.Consumer, "on_buffer_drop", ["tp"]),
    (GroupCoordinator, "check_errors", []),
    (GroupCoordinator, "_maybe_leave_group", []),
    (AIOKafkaConsumer, "seek", ["partition", "offset"]),
    (AIOKafkaConsumer, "beginning_offsets", ["partitions"]),
]

ATTRIBUTES = [
    (driver.AIOKafkaConsumerThread, "_consumer"),
    (ServiceThread, "parent_loop"),
    (base.Consumer, "_acked"),
    (base.Consumer, "_acked_index"),
    (base.Consumer, "_committed_offset"),
    (base.Consumer, "_read_offset"),
    (base.Consumer, "scheduler"),
    (AIOKafkaConsumer, "_coordinator"),
    (AIOKafkaConsumer, "_fetch_max_wait_ms"),
    (GroupCoordinator, "_coordination_task"),
]

CALLS = [
    (driver, r"self\._fetch_records,"),
    (driver, r"return self\._create_worker_consumer\(transport\)"),
    (base, r"self\.scheduler\.iterate\(records\)"),
    (base, r"await self\.perform_seek\(\)"),
    (base, r"offset = self\._new_offset\(tp\)"),
    (base, r"await self\._add_gap\("),
    (conductor, r"app\.consumer\.on_buffer_full"),
    (conductor, r"app\.consumer\.on_buffer_drop"),
    (conductor, r"if queue\.full\(\):"),
    (inspect.getmodule(App), r"self\._consumer\.on_task_error\("),
    (inspect.getmodule(PartitionRecords), r"consumer_record = self\._consumer_record\(tp, record\)"),
    (inspect.getmodule(AIOKafkaConsumer), r"fetch_max_wait_ms=self\._fetch_max_wait_ms"),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), METHODS, ids=lambda part: getattr(part, "__name__", None) or str(part)
)
def test_a_method_takes_what_it_took(owner, name, parameters):
    found = list(inspect.signature(getattr(owner, name)).parameters)

    assert found[: len(parameters) + 1] == ["self", *parameters]


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES, ids=lambda part: getattr(part, "__name__", part))
def test_an_attribute_is_set_by_its_owner(owner, name):
    assert re.search(rf"self\.{name}\s*(:[^=\n]+)?=", inspect.getsource(owner))


@pytest.mark.parametrize(("module", "call"), CALLS, ids=lambda part: getattr(part, "__name__", part))
def test_what_is_overridden_is_still_called(module, call):
    assert re.search(call, inspect.getsource(module))


def test_a_message_takes_its_fields_in_this_order():
    found = list(inspect.signature(ConsumerMessage.__init__).parameters)[1:13]
    stands = ["topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value", "checksum"]

    assert found == [*stands, "serialized_key_size", "serialized_value_size", "tp"]


def test_no_more_runs_wait_for_an_agent_than_are_meant_to():
    agents = make_app(Settings()).agents.values()

    assert [agent.channel_iterator.queue.maxsize for agent in agents] == [RUNS_WAITING_MAX] * 3


def test_faust_finds_a_transport_by_its_scheme():
    assert TRANSPORTS.aliases["kafka"] == "faust.transport.drivers.aiokafka:Transport"


@pytest.mark.parametrize("package", ["faust-streaming", "aiokafka"])
def test_the_release_that_was_looked_at_is_the_one_installed(package):
    pins = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]

    assert f"{package}=={version(package)}" in pins
