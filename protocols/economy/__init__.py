"""What ordered operations mean: accounts, tasks, auctions, verification, settlement."""
