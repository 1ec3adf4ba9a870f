"""The firewall of an instance: its rules, and what they come to."""
