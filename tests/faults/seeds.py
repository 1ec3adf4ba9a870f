"""The seed of what tests make up: the same in all processes of one run, and fixed where none is given."""

import os

SEED = int(os.environ.get("FAULTS_SEED") or 1)
