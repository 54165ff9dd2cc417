"""Practical Byzantine fault tolerance (Castro and Liskov, OSDI 1999, the signed version)."""
