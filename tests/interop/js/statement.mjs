// Signed statements: COSE_Sign1 (RFC 9052) by Node's crypto, and the rules that Node leaves to us.

import { createPublicKey, verify } from "node:crypto";

import { decodeStrict, encode, isEqual } from "./cbor.mjs";

// Encodings of the points of small order, the second spellings too (docs/protocol.md, section 1).
const SMALL_ORDER = new Set(
  [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ].flatMap((text) => {
    const last = parseInt(text.slice(62), 16);
    return [text, text.slice(0, 62) + (last ^ 0x80).toString(16).padStart(2, "0")];
  }),
);
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;
const hex = (data) => Buffer.from(data).toString("hex");

export class Refused extends Error {
  constructor(layer, reason) {
    super(`${layer}: ${reason}`);
    this.layer = layer;
  }
}

function inLayer(layer, act) {
  try {
    return act();
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(layer, error.message);
  }
}

export function isSigned(publicKey, message, signature) {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== KEY_BYTES) return false;
  if (SMALL_ORDER.has(hex(publicKey)) || SMALL_ORDER.has(hex(signature.subarray(0, 32)))) return false;
  const scalar = BigInt(`0x${hex(Uint8Array.from(signature.subarray(32)).reverse())}`);
  if (scalar >= ORDER) return false;
  try {
    return verify(null, message, loadKey(publicKey), signature);
  } catch {
    return false; // Node refuses keys that are no points when it loads them
  }
}

const KEYS_MAX = 256;
const keys = new Map();

function loadKey(publicKey) {
  const x = Buffer.from(publicKey).toString("base64url");
  if (!keys.has(x)) {
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(x, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }));
  }
  return keys.get(x);
}

function readHeader(bytes) {
  const header = decodeStrict(bytes, { isPlain: false });
  const key = header instanceof Map ? header.get(4) : undefined;
  const isGood = key instanceof Uint8Array && key.length === KEY_BYTES && header.size === 2;
  if (!isGood || header.get(1) !== -8) throw new Error("not {alg: EdDSA, kid: 32 bytes}");
  return key;
}

// An envelope taken apart; its signature is not checked yet.
export function parseStatement(data, sizeMax) {
  const outer = inLayer("cbor", () => {
    if (data.length > sizeMax) throw new Error("too long");
    const value = decodeStrict(data);
    const [type, committee, epoch, cose] = Array.isArray(value) && value.length === 4 ? value : [];
    const isGood =
      typeof type === "string" &&
      committee instanceof Uint8Array &&
      committee.length === 16 &&
      (typeof epoch === "bigint" || typeof epoch === "number") &&
      epoch >= 0 &&
      cose instanceof Uint8Array;
    if (!isGood) throw new Error("not [type, committee, epoch, COSE_Sign1]");
    return { type, committee, epoch, cose };
  });
  const parts = inLayer("cbor", () => decodeStrict(outer.cose));
  return inLayer("cose", () => {
    const [protectedBytes, unprotected, payload, signature] = Array.isArray(parts) ? parts : [];
    const isGood =
      parts.length === 4 &&
      protectedBytes instanceof Uint8Array &&
      unprotected instanceof Map &&
      unprotected.size === 0 &&
      payload instanceof Uint8Array &&
      signature instanceof Uint8Array &&
      signature.length === SIGNATURE_BYTES;
    if (!isGood) throw new Error("not [protected, {}, payload, signature]");
    return { ...outer, signer: readHeader(protectedBytes), protectedBytes, payload, signature };
  });
}

export function checkSignature(statement, network) {
  const { type, committee, epoch, signer, protectedBytes, payload, signature } = statement;
  const aad = encode(["econode", 1, network, committee, epoch, type]);
  const message = encode(["Signature1", protectedBytes, aad, payload]);
  if (!isSigned(signer, message, signature)) throw new Refused("cose", "the signature does not hold");
}

// Judges an envelope in its setting (tests/vectors/README.md); throws Refused.
export function judge(check, setting, schema, data) {
  const statement = parseStatement(data, setting.size_max);
  const { committee, epoch, type, signer, payload } = statement;
  const isHere =
    type === setting.kind && hex(committee) === setting.committee && BigInt(epoch) === BigInt(setting.epoch ?? 0);
  const network = Buffer.from(setting.network, "hex");
  const isMember = !setting.members?.length || setting.members.includes(hex(signer));
  const readPayload = () => {
    const value = inLayer("cbor", () => decodeStrict(payload));
    if (!schema.holds(setting.rule, value)) throw new Refused("schema", `not a ${setting.rule}`);
    return value;
  };
  if (check === "peer_head") {
    if (!isHere || !isMember) throw new Refused("cose", "not its author's statement of a head");
    checkSignature(statement, network);
    const author = readPayload().get("author");
    if (!isEqual(author, signer)) throw new Refused("cose", "a head in another's name");
    return;
  }
  if (!isHere) throw new Refused("schema", "of another type, committee or epoch");
  readPayload();
  if (!isMember) throw new Refused("schema", "the signer is no member");
  checkSignature(statement, network);
}
