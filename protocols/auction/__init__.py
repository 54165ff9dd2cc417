"""Auction mechanisms as pure functions on integers."""
