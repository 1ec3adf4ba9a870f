"""Writes the networks that the notifier's NetworkPolicy excludes: ``python -m berth_dev.docsgen.notpublic FILE``."""

import json
import sys
from pathlib import Path

from berth_core.firewall import Action, Rule, accepted_set, lies_in, special


def left_out() -> dict[str, list[str]]:
    """Fewest networks, by IP version, that cover all special networks within the public ranges."""
    networks = special.networks((*special.NEVER, *special.NOT_PUBLIC))
    rules = [Rule(one, Action.ACCEPT) for one in networks if any(lies_in(one, public) for public in special.PUBLIC)]
    fewest = accepted_set(rules)
    return {str(version): [str(one) for one in fewest if one.version == version] for version in (4, 6)}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(left_out(), indent=2) + "\n", encoding="utf-8")
