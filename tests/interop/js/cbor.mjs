// Deterministic CBOR (RFC 8949 section 4.2.1) on top of the stock library cborg.

import { decode, encode } from "cborg";

const DEPTH_MAX = 16;
const OPTIONS = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  rejectDuplicateMapKeys: true,
  useMaps: true,
};
const INT_MIN = -(1n << 63n);
const INT_MAX = (1n << 63n) - 1n;

function checkPlain(value, depth = 0) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "bigint":
      if (value < INT_MIN || value > INT_MAX) throw new Error("an integer beyond 64 bits");
      return;
    case "number":
      // cborg gives integers that a number cannot hold as a bigint: these here were floats.
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new Error("a float");
      return;
  }
  if (value === null || value instanceof Uint8Array) return;
  if (depth >= DEPTH_MAX) throw new Error("too deep");
  if (Array.isArray(value)) {
    for (const item of value) checkPlain(item, depth + 1);
  } else if (value instanceof Map) {
    for (const [key, item] of value) {
      if (typeof key !== "string") throw new Error("a key that is not text");
      checkPlain(item, depth + 1);
    }
  } else {
    throw new Error("a value that is not plain");
  }
}

export function isEqual(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

// The value of its one deterministic encoding; throws for any other bytes.
export function decodeStrict(data, { isPlain = true } = {}) {
  const value = decode(data, OPTIONS);
  if (isPlain) checkPlain(value);
  if (!isEqual(encode(value), data)) throw new Error("not the deterministic encoding");
  return value;
}

export { encode };
