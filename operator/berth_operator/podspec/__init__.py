"""Fields that the pods of leases and of builds share. Pure."""
