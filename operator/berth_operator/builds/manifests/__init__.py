"""Jobs, policies and commit statuses of builds. Pure."""
