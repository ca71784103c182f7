"""Kafka's edge: the batched transport under Faust, topics, kafka-python producers, and a reader of a whole topic."""
