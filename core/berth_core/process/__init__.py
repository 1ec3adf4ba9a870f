"""Parts of every process: its settings, logs and health."""
