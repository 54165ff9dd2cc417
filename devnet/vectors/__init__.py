"""Test vectors: made from the program by fixed seeds, checked by the program, for others to use.

docs/protocol.md says what the bytes are, tests/vectors/README.md how the files are laid out.
"""
