"""The verbs of `econode`, one module a noun."""
