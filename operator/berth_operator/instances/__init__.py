"""One Instance: from its start to the proof that nothing of it is left."""
