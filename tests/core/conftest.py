"""Commands run in this process, away from every ledger, and files for them.

run     `run("status", "IN")`: a command in a home of its own; nothing listens at its Kafka and Redis
files   `files("a.jsonl", text)`: the path of a file with this text
"""

import pytest
from typer.testing import CliRunner

from streams.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a home of its own; nothing listens at its Kafka and Redis."""
    monkeypatch.setenv("QUOTA_STATE_DIR", str(tmp_path / "state"))
    nowhere = {"QUOTA_KAFKA_BOOTSTRAP": "127.0.0.1:1", "QUOTA_REDIS_URL": "redis://:S3cret@127.0.0.1:1/0"}

    def run(*arguments, environment=None, stdin=None):
        environment = nowhere if environment is None else environment
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment, input=stdin)

    return run


@pytest.fixture
def files(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write
