"""Brings the devices of a node to its kubelet by Dynamic Resource Allocation (KEP-3063, KEP-4381)."""
