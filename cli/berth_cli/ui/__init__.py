"""How commands look: help, options, tables, errors."""
