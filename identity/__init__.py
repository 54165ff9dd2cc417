"""Who speaks: keys, deterministic CBOR, signed envelopes and quorum certificates.

Pure: bytes in, values out. Nothing here knows a clock, a socket or a file.
"""
