"""Everything `quota-ledger up` needs when nothing is installed, and what keeps its processes together.

kafka       librdkafka's in-process cluster, in a process of its own
valkey      a Redis-compatible server from a wheel, else an installed one
receiver    a webhook receiver that verifies signatures
guard       ends what a process started when that process is gone, however it went
children    one started process: its log, its end
supervisor  starts them, starts again what exits, ends them in order
state       where a second shell finds a running `up`

For trying out and for tests: each run starts empty and keeps nothing.
"""
