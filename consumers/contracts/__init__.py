"""What others may import of the consumers: the anomaly, its kinds, events and sentences. Free of numpy."""
