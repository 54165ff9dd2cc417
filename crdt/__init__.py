"""Replicated data as authenticated logs, and the views that are pure folds over them."""
