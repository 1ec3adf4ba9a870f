"""One Build: its commit, its machine, its script, its log and artifacts."""
