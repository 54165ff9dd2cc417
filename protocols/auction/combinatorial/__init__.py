"""Winner determination and payments of combinatorial auctions, on integers alone."""
