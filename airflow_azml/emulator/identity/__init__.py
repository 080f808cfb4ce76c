"""Tokens: who is given one, and who may call with it."""
