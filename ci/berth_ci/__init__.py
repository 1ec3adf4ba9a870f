"""What runs in a build's pods beside its script: finds the commit, checks it out, packs what it leaves behind.

And what clones a repository into a workspace (:mod:`berth_ci.clone`).
"""
