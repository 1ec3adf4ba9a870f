"""Power of an instance's machine: /addon/power."""
