"""The seed of everything that is made up at random: the same in all processes of one run."""

import os
import random

SEED = int(os.environ.setdefault("FAULTS_SEED", str(random.SystemRandom().randrange(2**32))))
