"""The end of tokens: /revoke, /purge."""
