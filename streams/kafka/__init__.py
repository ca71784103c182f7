"""Kafka's edge: the batched transport under Faust, topics, and kafka-python producers."""
