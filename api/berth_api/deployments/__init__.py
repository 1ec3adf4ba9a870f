"""What can be had: /workspaces, /deployments, /deployment, /queuelen."""
