"""Commands of people with a token, over the HTTP API."""
