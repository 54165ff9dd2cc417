"""Seeded defects: small patches of the running core that the simulator must find.

They test the tests: an invariant that no defect breaks, or a defect that no seed finds, shows
where the simulator is blind.
"""
