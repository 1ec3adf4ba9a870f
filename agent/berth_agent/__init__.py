"""The firewall agent: a process in each instance's pod that puts the operator's rulesets and keys in force.

Standard library only, one thread, at most 25 MB. The modules, from the outside in: ``server`` (routes and limits),
``wire`` (HTTP text), ``identity`` (TLS), ``push`` (what the operator sends), ``store`` (all of it or nothing),
``nft`` (the kernel's tables), ``listening`` (who listens in the pod), ``loop`` (the scheduler).
"""
