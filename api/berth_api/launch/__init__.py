"""POST /new: get an instance."""
