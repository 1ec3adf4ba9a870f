"""The tour of the main job."""
