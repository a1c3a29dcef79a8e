"""LocalStack 4.9.2 without Docker: in an environment of its own, functions as processes.

    python -m tests.e2e.hostmode --port 4566

Its maintainers do not support this way of running it ("host mode"); it is for machines without Docker. Three things
differ from their image. Functions run as processes on this machine's Python (`executor/`). DynamoDB is moto's, which
LocalStack brings along, since Amazon's DynamoDB Local is a download under a licence that only the user can accept.
Everything listens on 127.0.0.1.
"""
