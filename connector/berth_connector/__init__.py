"""The connector: links a machine that has only outbound network to Berth's hub, and holds the fence at the machine.

It runs on Debian with Python 3.9 or later, needs no compiled dependency, and executes nothing that comes over the link.
"""
