"""Keys that Berth makes for users: ssh key pairs and secrets of webhooks."""
