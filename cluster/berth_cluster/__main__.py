"""`python -m berth_cluster <command>`: a real Kubernetes on one machine."""

import argparse
import sys
from pathlib import Path

from berth_cluster import apiserver
from berth_cluster.components import all_components, build
from berth_cluster.errors import ClusterError


def main() -> int:
    """Run one command; 0 when it worked, 1 with one clear line when it could not."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except ClusterError as error:
        print(f"berth-cluster: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m berth_cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    for name, controllers in (("apiserver", False), ("controllers", True)):
        tier = commands.add_parser(
            name,
            help=f"etcd, kube-apiserver{', kube-controller-manager' * controllers} on loopback, in the foreground",
        )
        tier.add_argument("--dir", type=Path, required=True, help="folder for data, logs and kubeconfig")
        tier.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
        tier.set_defaults(run=_serve, controllers=controllers)

    commands.add_parser("build", help="build all components into the cache").set_defaults(run=_build)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    apiserver.serve(arguments.dir.resolve(), controllers=arguments.controllers, until_eof=arguments.until_eof)


def _build(_: argparse.Namespace) -> None:
    for folder in build(all_components()).folders:
        print(folder)


if __name__ == "__main__":
    sys.exit(main())
