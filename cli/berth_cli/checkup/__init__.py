"""`berth doctor`: facts are gathered first, then judged by small pure checks. Nothing is written."""
