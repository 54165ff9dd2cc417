"""What is unlike the rest, with the numbers behind it: pure functions on what a ledger holds."""
