"""Commands of people with kubectl."""
