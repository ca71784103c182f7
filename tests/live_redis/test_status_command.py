"""`status --watch` on a real Redis: each change is told once, and what is merely fresher is none."""

import json

from ledger.book.position import Position
from tests.builders import shipment_document
from tests.live_redis.booking import NOW, open_desk
from tests.parts import wait_until


async def test_watching_tells_each_change_in_a_line_until_it_is_told_to_end(redis, ledger, make_settings, processes):
    desk = await open_desk(redis, ledger)
    watching = processes.start("status", make_settings(partitions=0), "IN", "--period", "2026", "--watch", "--json")

    def posted():
        lines = watching.log_tail(50).splitlines()
        return [json.loads(line)["posted_tpp"] // 15_832 for line in lines if line.startswith("{")]

    wait_until(lambda: posted() == [0], "the balance")
    await desk.post(0, [shipment_document(quantity=8)])
    wait_until(lambda: posted() == [0, 8], "the first change")
    await Position(redis, ledger).note_ends({"shipments:0": 9}, NOW)
    await desk.post(0, [shipment_document(id="evt-2", quantity=8)])
    wait_until(lambda: posted() == [0, 8, 16], "the second change")
    watching.signal(2)
    assert watching.process.wait(10) == 0

    assert "Traceback" not in watching.log_tail(50)
