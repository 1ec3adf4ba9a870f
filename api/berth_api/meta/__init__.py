"""The process itself: its commands, health, documentation, add-ons and webhook key."""
