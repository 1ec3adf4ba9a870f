"""What the routes promise, in terms of resources."""
