"""`python -m evomerge.cli` is `evomerge`."""

import sys

from evomerge.cli import main

sys.exit(main())
