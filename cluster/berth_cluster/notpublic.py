"""Writes what the notifier's NetworkPolicy leaves out, for the chart: ``python -m berth_cluster.notpublic FILE``.

They are those within the networks that the policy opens, without the ones that another has whole.
"""

import json
import sys
from ipaddress import collapse_addresses
from pathlib import Path

from berth_core.firewall import lies_in, special


def left_out() -> dict[str, list[str]]:
    """Networks by IP version."""
    networks = special.networks((*special.NEVER, *special.NOT_PUBLIC))
    return {
        str(public.version): [
            str(network) for network in collapse_addresses(one for one in networks if lies_in(one, public))
        ]
        for public in special.PUBLIC
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(left_out(), indent=2) + "\n", encoding="utf-8")
