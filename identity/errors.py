"""What can be wrong with bytes from outside, by the layer that refuses them."""


class EconodeError(Exception):
    """Base of every error that Econode raises on purpose."""


class InvalidBytes(EconodeError):
    """Foreign bytes that no honest peer sends.

    `layer` names who refused: frame, cbor, cose, schema or semantics.
    """

    layer = "semantics"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{self.layer}: {reason}")
        self.reason = reason


class InvalidCbor(InvalidBytes):
    layer = "cbor"


class InvalidSignature(InvalidBytes):
    layer = "cose"


class InvalidSchema(InvalidBytes):
    layer = "schema"


class InvalidCertificate(InvalidBytes):
    layer = "semantics"


class InvalidKey(EconodeError):
    """A key, or a key file, that cannot be used; the message says why."""
