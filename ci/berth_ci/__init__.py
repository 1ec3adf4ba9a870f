"""Runs in a build's pods beside its script: finds the commit, checks it out, packs the files that the script leaves.

It also clones a repository into a workspace (:mod:`berth_ci.clone`).
"""
