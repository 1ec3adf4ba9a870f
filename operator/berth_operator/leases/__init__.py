"""Takes leases for waiters, and gives back what nobody holds."""
