"""Checks of the repository itself, and which tests a change asks for."""
