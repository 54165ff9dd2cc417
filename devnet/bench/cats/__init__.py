"""Instances of combinatorial auctions, written from the published descriptions of the families of
the Combinatorial Auction Test Suite (Leyton-Brown, Pearson, Shoham 2000)."""
