"""`python -m localstack.event_source_mapping`."""

import sys

from localstack.event_source_mapping.cli import main

if __name__ == "__main__":
    sys.exit(main())
