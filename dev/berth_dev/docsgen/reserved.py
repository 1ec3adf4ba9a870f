"""Writes the names that policies keep for Berth: ``python -m berth_dev.docsgen.reserved FILE``."""

import json
import sys
from pathlib import Path

from berth_core import names

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({"reserved": f"^({names.RESERVED})$"}) + "\n", encoding="utf-8")
