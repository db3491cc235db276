# Generated from _async/__init__.py by scripts/generate.py: do not edit.
"""The asyncio client. The other one is made from it by scripts/generate.py."""
