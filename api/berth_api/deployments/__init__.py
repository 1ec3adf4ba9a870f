"""Types and deployments: /workspaces, /deployments, /deployment, /queuelen."""
