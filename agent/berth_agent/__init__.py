"""The firewall agent: a process in each instance's pod that puts the operator's rulesets and keys in force.

Standard library and libnftables only, one thread and another for calls of that library, at most 25 MB. The modules,
from the outside in: ``server`` (routes and limits), ``wire`` (HTTP text), ``identity`` (TLS), ``push`` (bodies of the
operator's requests), ``store`` (all of it or nothing); then ``nft`` (the kernel's tables), ``listening`` (open ports in
the pod), ``loop`` (the scheduler).
"""
