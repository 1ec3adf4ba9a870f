"""Access to deployments: /rules, /deployment/:id/rule and /lockout."""
