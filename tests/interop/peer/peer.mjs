// A peer on js-libp2p, written from docs/protocol.md: it joins a network as an observer, fetches
// batches and verifies their proofs, hears and fetches entries of a peer's log and verifies them,
// and submits an operation that it signed.
//
//   node peer.mjs CONFIG.json      prints a JSON line for each thing that it has done
//
// It ends when everything is done (0), or after LIFE_MS (1).

import "./compat.mjs";

import { readFileSync } from "node:fs";
import { createPrivateKey, sign } from "node:crypto";

import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

import { decodeStrict, encode, isEqual } from "./cbor.mjs";
import { checkBatch, checkCertificate, checkEntry } from "./proofs.mjs";

const LIFE_MS = 90_000;
const TICK_MS = 500;
const FRAME_BYTES_MAX = 4194304;
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
const hex = (data) => Buffer.from(data).toString("hex");

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const place = {
  network: bytes(config.network),
  committee: bytes(config.committee),
  epoch: 0,
  members: new Set(config.members),
};
const prefix = `/econode/1/${config.network.slice(0, 16)}`;
const FRAMES = `${prefix}/frames`;
const TOPIC = `${prefix}/logs`;
const key = await generateKeyPairFromSeed("Ed25519", bytes(config.seed));
const author = bytes(config.author);
const done = new Set();

function tell(what, more = {}) {
  if (done.has(what)) return;
  done.add(what);
  console.log(JSON.stringify({ done: what, ...more }));
}

// --- the operation ----------------------------------------------------------------------------

function signOperation() {
  const body = new Map([["type", "transfer"], ["to", bytes(config.to)], ["amount", config.amount]]);
  const payload = encode(new Map([["nonce", 1], ["body", body]]));
  const publicKey = key.publicKey.raw;
  const header = encode(new Map([[1, -8], [4, publicKey]]));
  const aad = encode(["econode", 1, place.network, place.committee, 0, "operation"]);
  const message = encode(["Signature1", header, aad, payload]);
  const d = Buffer.from(config.seed, "hex").toString("base64url");
  const x = Buffer.from(publicKey).toString("base64url");
  const secret = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" });
  const cose = encode([header, new Map(), payload, new Uint8Array(sign(null, message, secret))]);
  return encode(["operation", place.committee, 0, cose]);
}

const operation = signOperation();

// --- frames -----------------------------------------------------------------------------------

const host = await createLibp2p({
  privateKey: key,
  addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) },
});
const links = new Map();
let executed = 0;

function send(link, fields) {
  const message = encode(new Map(Object.entries(fields)));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  link.stream.send(Buffer.concat([length, message]));
}

async function readFrames(stream, peer) {
  let buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    buffer = Buffer.concat([buffer, chunk.subarray()]);
    while (buffer.length >= 4) {
      const length = buffer.readUInt32BE(0);
      if (length < 1 || length > FRAME_BYTES_MAX) throw new Error(`a frame of ${length} bytes`);
      if (buffer.length < 4 + length) break;
      const message = decodeStrict(new Uint8Array(buffer.subarray(4, 4 + length)));
      buffer = buffer.subarray(4 + length);
      hear(message, peer);
    }
  }
}

function hear(message, peer) {
  const type = message.get("type");
  tell(`heard ${type}`);
  if (type === "batches") {
    for (const batch of message.get("batches")) takeBatch(batch);
  } else if (type === "status" && message.get("executed") > executed) {
    const link = links.get(peer);
    if (link) send(link, { type: "fetch_batches", committee: place.committee, start: executed + 1 });
  } else if (type === "log_entries") {
    takeEntries(message, "log entries verified");
  }
}

function takeBatch(batch) {
  if (batch.get("seq") !== executed + 1) return;
  checkBatch(place, batch);
  executed++;
  tell("batch verified", { seq: executed });
  const certificate = batch.get("certificate");
  if (certificate?.length) {
    const head = checkCertificate(place, certificate);
    tell("certificate verified", { position: Number(head.get("position")) });
  }
  if (batch.get("operations").some((data) => isEqual(data, operation))) tell("operation executed", { seq: executed });
}

function takeEntries(message, what) {
  if (!isEqual(message.get("author"), author)) return;
  for (const carried of message.get("entries")) {
    checkEntry(place, author, carried);
    tell(what, { position: Number(carried.get("entry").get("header").get("position")) });
  }
}

await host.handle(FRAMES, (stream, connection) => {
  readFrames(stream, connection.remotePeer.toString()).catch(fail);
});
host.services.pubsub.addEventListener("message", ({ detail }) => {
  if (detail.topic === TOPIC) takeEntries(decodeStrict(detail.data), "gossip verified");
});
host.addEventListener("peer:identify", ({ detail }) => {
  if (detail.protocols.includes(FRAMES)) tell("identified", { agent: detail.agentVersion });
});
host.services.pubsub.subscribe(TOPIC);

function fail(error) {
  console.error(error);
  process.exit(1);
}

// --- life -------------------------------------------------------------------------------------

for (const address of config.addresses) {
  const connection = await host.dial(multiaddr(address));
  const stream = await connection.newStream(FRAMES);
  links.set(connection.remotePeer.toString(), { stream });
}
tell("connected", { peers: links.size });

const WANTED = ["identified", "batch verified", "certificate verified", "operation executed", "log entries verified", "gossip verified"];
const end = Date.now() + LIFE_MS;
while (!WANTED.every((what) => done.has(what)) && Date.now() < end) {
  const status = {
    type: "status",
    committee: place.committee,
    epoch: 0,
    view: 0,
    active: true,
    stable: 0,
    executed,
    certified: 0,
    waiting: false,
  };
  for (const link of links.values()) {
    send(link, status);
    if (!done.has("operation executed")) {
      send(link, { type: "submit", committee: place.committee, operations: [operation] });
    }
    if (!done.has("log entries verified")) {
      const want = new Map([["author", author], ["start", 0]]);
      send(link, { type: "log_want", wants: [want] });
    }
  }
  await new Promise((resolve) => setTimeout(resolve, TICK_MS));
}
await host.stop();
process.exit(WANTED.every((what) => done.has(what)) ? 0 : 1);
