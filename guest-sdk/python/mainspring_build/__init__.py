"""Compiles workflows in Python to components, by componentize-py."""
