"""The README's producer in Java, run as it stands: what it writes is an event of the source that it names."""

import re
import shutil
import subprocess
from pathlib import Path

from schemas.cloudevents import read_event
from tests.parts import kafka_jars

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_readmes_producer_in_java_writes_an_event(open_desk, real_kafka, tmp_path):
    desk = open_desk(partitions=1)
    [code] = re.findall(r"```java\n(.*?)```", README, re.DOTALL)
    topic = desk.settings.topic_shipments
    here = code.replace("127.0.0.1:9092", desk.settings.kafka_bootstrap).replace('"shipments"', f'"{topic}"')
    (tmp_path / "Send.java").write_text(here, encoding="utf-8")
    java = [str(shutil.which("java")), "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars()}/*", "Send.java"]
    done = subprocess.run(java, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

    [record] = desk.records(topic)
    event = read_event(record.value, record.headers, default_source=f"/kafka/{topic}")
    assert event.key == "/logistics/acme#S-3"
