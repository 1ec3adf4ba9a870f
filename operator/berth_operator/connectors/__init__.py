"""Signs certificates of connectors and of the hub (ADR 0057)."""
