"""Machines as resources name them: endpoints, devices, add-ons and relays of one, and grants to register machines."""
