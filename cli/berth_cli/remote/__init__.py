"""What people with a token do: over the HTTP API, with nothing of the cluster at hand."""
