// What a peer can check by itself: committed batches, certificates, entries of peers' logs.

import { createHash } from "node:crypto";

import { decodeStrict, encode, isEqual } from "./cbor.mjs";
import { checkSignature, isSigned, parseStatement } from "./statement.mjs";

const VOTE_BYTES_MAX = 1024;
const PROOF_BYTES_MAX = 65536;
const hex = (data) => Buffer.from(data).toString("hex");
export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

function demand(isTrue, what) {
  if (!isTrue) throw new Error(what);
}

export function countQuorum(n) {
  return Math.floor((n + Math.floor((n - 1) / 3)) / 2) + 1;
}

// Throws unless q members' commits of one view prove the batch (docs/protocol.md, section 7).
export function checkBatch(place, batch) {
  const digests = batch.get("operations").map((data) => sha256(data));
  const digest = sha256(encode(["econode/batch", batch.get("time_ms"), digests]));
  const signers = new Set();
  const views = new Set();
  for (const data of batch.get("proof")) {
    const statement = parseStatement(data, VOTE_BYTES_MAX);
    const commit = decodeStrict(statement.payload);
    demand(statement.type === "commit" && isEqual(statement.committee, place.committee), "no commit");
    demand(BigInt(statement.epoch) === BigInt(place.epoch), "of another epoch");
    demand(commit.get("seq") === batch.get("seq"), "of another position");
    demand(isEqual(commit.get("digest"), digest), "of another batch");
    demand(place.members.has(hex(statement.signer)), "of a stranger");
    checkSignature(statement, place.network);
    signers.add(hex(statement.signer));
    views.add(commit.get("view"));
  }
  demand(signers.size >= countQuorum(place.members.size) && views.size === 1, "too few commits");
}

// The head that a certificate of the committee proves; throws unless it does.
export function checkCertificate(place, data) {
  const [type, committee, epoch, payload, pairs] = decodeStrict(data);
  demand(type === "head" && isEqual(committee, place.committee), "of another place");
  const aad = encode(["econode", 1, place.network, committee, epoch, type]);
  const signers = new Set();
  for (const [signer, signature] of pairs) {
    const header = encode(new Map([[1, -8], [4, signer]]));
    const message = encode(["Signature1", header, aad, payload]);
    demand(place.members.has(hex(signer)) && isSigned(signer, message, signature), "a bad signature");
    signers.add(hex(signer));
  }
  demand(signers.size >= countQuorum(place.members.size), "too few signatures");
  return decodeStrict(payload);
}

function computeRoot(items) {
  let level = items.map((item) => sha256(Uint8Array.of(0), item));
  if (!level.length) return sha256();
  while (level.length > 1) {
    const next = [];
    for (let at = 0; at + 1 < level.length; at += 2) {
      next.push(sha256(Uint8Array.of(1), level[at], level[at + 1]));
    }
    if (level.length % 2) next.push(level.at(-1));
    level = next;
  }
  return level[0];
}

// Throws unless the entry is one that its author signed (docs/protocol.md, section 9).
export function checkEntry(place, author, carried) {
  const entry = carried.get("entry");
  const header = entry.get("header");
  demand(isEqual(header.get("author"), author), "another author's");
  demand(isEqual(header.get("root"), computeRoot(entry.get("items"))), "another root");
  const statement = parseStatement(carried.get("proof"), PROOF_BYTES_MAX);
  const head = decodeStrict(statement.payload);
  demand(statement.type === "head" && statement.committee.every((byte) => byte === 0), "no head");
  demand(isEqual(statement.signer, author), "signed by another");
  demand(head.get("position") === header.get("position"), "another position");
  demand(isEqual(head.get("hash"), sha256(encode(header))), "another hash");
  checkSignature(statement, place.network);
}
