"""What agents decide: bidding strategies and the operations that their duties ask for."""
