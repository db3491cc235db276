"""The asyncio client. The other one is made from it by scripts/generate.py."""
