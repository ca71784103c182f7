"""Logs of a process: one line an entry on stderr, in JSON unless a person looks on. Nothing secret passes."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_PASSWORD = re.compile(r"(://[^/@\s:]*):[^/@\s]+@")
_SECRET = re.compile(r"\b(whsec|qk)_[A-Za-z0-9+/=_-]+")


class _CalmBeforeSeek(logging.Filter):
    """Drops Faust's complaint that nothing was fetched since the start: after a rebalance it is false."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "has not sent fetch request since start" not in record.getMessage()


def configure_logs(process: str, *, level: int = logging.INFO) -> None:
    """Set up logging for this process.

    Args:
        process: `worker`, `sender` or `api`; stands on every line.
        level: what is logged from.
    """

    def name_process(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        entry["process"] = process
        return entry

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    handler.addFilter(_CalmBeforeSeek())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("kafka", "aiokafka.consumer.fetcher"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)


def without_secrets(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cross out passwords in URLs and anything that looks like one of our secrets."""
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = _SECRET.sub(r"\1_***", _PASSWORD.sub(r"\1:***@", value))
    return entry
