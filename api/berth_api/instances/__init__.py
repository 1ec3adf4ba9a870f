"""What a user has: /instances, /instance, /terminate."""
