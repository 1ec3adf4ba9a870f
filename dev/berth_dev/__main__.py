"""`python -m berth_dev <command>`: a real Kubernetes on one machine."""

import argparse
import sys
from pathlib import Path

from berth_dev import packages, spec, supervisor
from berth_dev.checks import durations, ledger, prose, steady, twins
from berth_dev.cluster import install, loading, nodes
from berth_dev.components import PEER, PEER_MODULE, all_components, build, components_of_tests, module_folder
from berth_dev.demo import tour
from berth_dev.docsgen import generate
from berth_dev.envtest import apiserver
from berth_dev.errors import ClusterError
from berth_dev.gate import everything, play
from berth_dev.images import build as images


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
    parser = argparse.ArgumentParser(prog="python -m berth_dev", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    for name, controllers in (("apiserver", False), ("controllers", True)):
        tier = commands.add_parser(
            name,
            help=f"etcd, kube-apiserver{', kube-controller-manager' * controllers} on loopback, in the foreground",
        )
        tier.add_argument("--dir", type=Path, required=True, help="folder for data, logs and kubeconfig")
        tier.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
        tier.add_argument("--audit-policy", type=Path, help="have the API server write audit.log to the folder")
        tier.add_argument("--flag", action="append", default=[], help="NAME=VALUE, a further flag of the API server")
        tier.set_defaults(run=_serve, controllers=controllers)

    commands.add_parser("up", help="cluster, Berth and samples").set_defaults(run=_up)
    commands.add_parser("down", help="remove what `up` made").set_defaults(run=_down)
    commands.add_parser("demo", help="play the tour on the cluster that `up` made").set_defaults(run=_demo)
    commands.add_parser("lint", help="check generated files and the chart").set_defaults(run=_lint)
    commands.add_parser("generate", help="write generated files").set_defaults(run=_generate)
    commands.add_parser("start", help="start the two-node cluster").set_defaults(run=_start)
    commands.add_parser("stop", help="end the two-node cluster and remove its state").set_defaults(run=_stop)
    commands.add_parser("status", help="show which processes run").set_defaults(run=_status)
    commands.add_parser("images", help="build the images and load them into the running cluster").set_defaults(
        run=_images
    )
    commands.add_parser("packages", help="install missing Debian packages").set_defaults(run=_packages)
    supervise = commands.add_parser("supervise", help="keep the processes of a state folder running")
    supervise.add_argument("state", type=Path)
    supervise.set_defaults(run=_supervise)
    commands.add_parser("prepare", help="packages, components and images, all into the cache").set_defaults(
        run=_prepare
    )
    commands.add_parser("spec", help="build the checker of the lease protocol").set_defaults(run=_spec)
    commands.add_parser("peer", help="build the peer that `make bench-peer` measures").set_defaults(run=_peer)
    gate = commands.add_parser("gate", help="the tests of `make test`, with a second run of those that may have one")
    gate.add_argument("--all", action="store_true", help="the tests of `make test-all`")
    gate.set_defaults(run=_gate)
    steady_runs = commands.add_parser("steady", help="the gate, several times on one tree; goes on where it stopped")
    steady_runs.add_argument("--times", type=int, default=6)
    steady_runs.set_defaults(run=_steady)
    commands.add_parser("prose", help="check how sentences read").set_defaults(run=_prose)
    commands.add_parser("build", help="build all components into the cache").set_defaults(run=_build)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    apiserver.serve(
        arguments.dir.resolve(),
        controllers=arguments.controllers,
        until_eof=arguments.until_eof,
        audit_policy=arguments.audit_policy,
        flags=tuple(arguments.flag),
    )


def _start(_: argparse.Namespace) -> None:
    print(nodes.start().kubeconfig)


def _stop(_: argparse.Namespace) -> None:
    nodes.stop()


def _status(_: argparse.Namespace) -> None:
    for name, state in nodes.status().items() or {"cluster": "stopped"}.items():
        print(f"{name:28} {state}")


def _up(_: argparse.Namespace) -> None:
    install.up()


def _down(_: argparse.Namespace) -> None:
    install.down()


def _demo(_: argparse.Namespace) -> None:
    tour.play(*install.running())


def _gate(arguments: argparse.Namespace) -> None:
    (everything.everything if arguments.all else play.gate)()


def _steady(arguments: argparse.Namespace) -> None:
    steady.run(arguments.times)


def _prose(_: argparse.Namespace) -> None:
    prose.check()


def _lint(_: argparse.Namespace) -> None:
    ledger.check()
    durations.check()
    twins.check()
    generate.check()
    generate.helm_lint()


def _generate(_: argparse.Namespace) -> None:
    generate.generate()


def _images(_: argparse.Namespace) -> None:
    built = images.build_all()
    for one in built:
        print(f"{one.image.reference} {one.archive}")
    if running := nodes.find():
        loading.load(running, built)


def _packages(_: argparse.Namespace) -> None:
    packages.install_missing()


def _prepare(_: argparse.Namespace) -> None:
    packages.install_missing()
    build((*all_components(), *components_of_tests()))
    images.build_all()
    spec.build()


def _spec(_: argparse.Namespace) -> None:
    spec.build()


def _peer(_: argparse.Namespace) -> None:
    build((PEER,))
    module_folder(PEER, PEER_MODULE)


def _supervise(arguments: argparse.Namespace) -> None:
    supervisor.supervise(arguments.state)


def _build(_: argparse.Namespace) -> None:
    for folder in build(all_components()).folders:
        print(folder)


if __name__ == "__main__":
    sys.exit(main())
