"""What each flag of a vector stands for: the attack or the bug that it is there to catch."""

FLAGS = {
    "Valid": "What an honest peer sends; refusing it breaks the network.",
    "EdgeOfBounds": "Values at the ends of their ranges: the last ones that are still allowed.",
    # --- place ---------------------------------------------------------------------------------
    "WrongDomain": "Signed for another protocol or major version, so that a signature made "
    "elsewhere would count here.",
    "WrongNetwork": "Signed for another network: a replay across networks.",
    "WrongCommittee": "Of another committee: a replay between neighbours.",
    "WrongEpoch": "Of another epoch: a replay by former members.",
    "WrongType": "Signed as another type of message: a vote for one phase counted in another.",
    "Replay": "A whole statement that is good in another place, as it stands.",
    # --- keys and signatures -------------------------------------------------------------------
    "SwappedSigner": "One key's signature under another's name.",
    "NotAMember": "A good signature of somebody who has no vote.",
    "SmallOrderKey": "A public key of small order, for which signatures are made without a "
    "secret. Stock libraries may take it: check the key.",
    "SmallOrderR": "A signature whose R is of small order: the equation holds, OpenSSL takes it "
    "and libsodium does not. Its signer could split honest members over it: check R.",
    "MixedOrderKey": "A point outside of the prime-order subgroup.",
    "NonCanonicalPoint": "A second spelling of a point: two identities for one key.",
    "NotOnCurve": "32 bytes that are no point.",
    "MalleableSignature": "S + L in place of S: a second signature for one statement.",
    "NoSignature": "A signature of zeros, or of another length.",
    "ChangedByte": "One bit of a good statement turned over.",
    # --- COSE ----------------------------------------------------------------------------------
    "WrongAlgorithm": "Signed well, under a header that names another algorithm.",
    "OtherHeader": "Headers that are absent, more, elsewhere or in another order.",
    "DetachedPayload": "COSE with no payload in it.",
    "OtherForm": "Not the array that it should be.",
    # --- CBOR ----------------------------------------------------------------------------------
    "Truncated": "Cut off.",
    "TrailingBytes": "Bytes after the end: two byte strings for one meaning.",
    "DuplicateKey": "A map key twice: readers that keep the first and the last disagree.",
    "UnsortedKeys": "Map keys in another order: a second spelling.",
    "NonShortestInt": "An integer or a length longer than needed: a second spelling.",
    "IndefiniteLength": "Indefinite length: a second spelling, and unbounded for who reads.",
    "Tag": "A CBOR tag, which readers turn into something else.",
    "Float": "A floating-point number: no amount is one.",
    "BigNumber": "Beyond 64 bits.",
    "SimpleValue": "Undefined and simple values other than true, false and null.",
    "NotText": "Text that is not UTF-8.",
    "KeyNotText": "A map key that is not text.",
    "Malformed": "Not CBOR at all.",
    "TooDeep": "Nested deeper than 16 levels.",
    "TooLong": "Longer than its bound, which is checked before anything is decoded.",
    # --- schema --------------------------------------------------------------------------------
    "UnknownField": "A field that this version does not know: refused in what is signed, "
    "ignored in hop messages.",
    "UnknownType": "A type that does not exist.",
    "MissingField": "A field left out.",
    "WrongFieldType": "A field of another CBOR type.",
    "OutOfBounds": "A value, a length or a count beyond its bounds.",
    # --- frames --------------------------------------------------------------------------------
    "FrameLength": "A length of 0, or beyond the bound.",
    # --- meaning -------------------------------------------------------------------------------
    "TooFewSigners": "Fewer signatures than a quorum.",
    "RepeatedSigner": "One signer counted twice.",
    "UnorderedSigners": "Signers not in ascending order: a second spelling.",
    "BadSignatureInside": "One signature of several does not hold.",
    "SameTwice": "The same statement twice as evidence: it proves nothing.",
    "NoContradiction": "Two statements that an honest signer may both sign.",
    "WrongSubject": "Evidence against somebody else than its statements convict.",
    "WrongHash": "A hash, root or link that is not of the content beside it.",
    "WrongPosition": "Another position, index or path than the one that is proven.",
    "WrongInput": "A digest that was computed from other values.",
    "WrongResult": "A result that does not follow from its inputs.",
    "Stale": "Proven by members whose bonds may be free by now.",
    "MissingInventory": "A phase that closed without the inventories of a quorum: how a leader "
    "would leave out somebody's bid.",
    "WrongView": "Of another view: votes of two views added up, or of a view that was not left.",
    "MissingProof": "What is claimed comes without what proves it, or it proves something else.",
    "HiddenPrepared": "What was prepared is not in the new view: a batch that a quorum may have "
    "executed already would be lost.",
    "WrongPrefix": "Not the PeerId of an Ed25519 key.",
}
