"""HTTP for every route: requests, answers, errors, the OpenAPI document."""
