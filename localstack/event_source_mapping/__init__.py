"""An event source mapping runner for Kinesis: what AWS Lambda does between a stream and a function.

Emulators deliver batches and quietly ignore the rest of a mapping: partial batch responses, bisect, retries,
record age, on-failure destinations, batching windows, the parallelization factor. This package reads the
settings of the deployed mappings and gives them AWS's semantics, over public AWS APIs only, on any endpoint:

    python -m localstack.event_source_mapping --endpoint-url http://127.0.0.1:4566 --include-disabled

Data flows through three parts: `poller` reads shards, `shard` (pure) decides what happens to each record,
`sender` invokes functions and writes to on-failure destinations.
"""
