"""Runs in a build's pods beside its script: finds the commit, checks it out, packs the files that the script leaves.

It also clones a repository into a workspace (:mod:`berth_ci.clone`).
"""

VARIABLES = {
    "BERTH_REPO_URL": "URL of the repository; for fetch, checkout and clone.",
    "BERTH_BRANCH": "Branch or tag that was asked for, if any; for fetch.",
    "BERTH_COMMIT": "Commit that was asked for, if any, for fetch; commit that was found, for checkout.",
    "BERTH_LONGEST": "Longest `timeout` of a script in seconds; for fetch and checkout.",
    "BERTH_INSTANCE_HOST": "Address of the build's machine, if it has one; for checkout.",
    "BERTH_INSTANCE_PORT": "Port of ssh on that machine; for checkout.",
    "BERTH_HOST_KEYS": "Host keys of that machine, one a line; for checkout.",
    "BERTH_ARTIFACTS_MAX_BYTES": "Bytes of artifacts, compressed; for artifacts.",
    "BERTH_SECONDS": "Seconds that a clone into a workspace may take; for clone.",
    "BERTH_SPACE": "Bytes of the workspace's disk, half of which a clone may fill; for clone.",
    "BERTH_TOKEN_FOR": "URL whose host alone gets the token; a step sets it for git's credential helper.",
}
