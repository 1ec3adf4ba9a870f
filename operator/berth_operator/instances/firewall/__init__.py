"""The firewall of an instance: its rules, and the ruleset made from them."""
