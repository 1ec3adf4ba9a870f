"""Bodies of requests and answers, for the OpenAPI document. Checks are in options.py, shapes in shapes/."""
