"""Machines at addresses, as resources name them: endpoints of one machine, and grants to register machines."""
