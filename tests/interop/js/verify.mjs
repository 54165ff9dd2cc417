// Judges every vector of envelopes in a folder, by docs/protocol.cddl and nothing of Econode's code.
//
//   node verify.mjs VECTORS PROTOCOL.cddl            agree with every verdict?
//   node verify.mjs VECTORS PROTOCOL.cddl --mutate   is each byte of each valid envelope covered?
//
// Prints one JSON document; ends with 1 if anything is judged otherwise.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { decodeStrict } from "./cbor.mjs";
import { Schema } from "./cddl.mjs";
import { judge, Refused } from "./statement.mjs";

const CHECKS = new Set(["statement", "operation", "peer_head"]);
const DIFFERENCES = [0x01, 0x80, 0xff];
const SHOWN_MAX = 50;

const [folder, cddl, mode] = process.argv.slice(2);
const schema = new Schema(readFileSync(cddl, "utf8"), decodeStrict);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".json") && !["manifest.json", "schema.json"].includes(name))
  .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")))
  .filter((file) => file.format === "econode/vectors" && CHECKS.has(file.check));

function decide(file, data) {
  try {
    judge(file.check, file.setting, schema, data);
    return { verdict: "valid" };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { verdict: "invalid", layer: error.layer };
  }
}

function agree() {
  const report = { total: 0, negative: 0, disagreed: 0, otherLayer: 0, shown: [] };
  for (const file of files) {
    for (const test of file.tests) {
      const { verdict, layer } = decide(file, Buffer.from(test.data, "hex"));
      report.total++;
      report.negative += test.verdict === "invalid";
      if (verdict !== test.verdict && test.verdict !== "acceptable") {
        report.disagreed++;
        if (report.shown.length < SHOWN_MAX) report.shown.push(`${test.id}: ${verdict} ${layer}`);
      } else if (layer !== test.layer) {
        report.otherLayer++;
        if (report.shown.length < SHOWN_MAX) report.shown.push(`${test.id}: in ${layer}`);
      }
    }
  }
  return report;
}

function mutate() {
  const report = { envelopes: 0, total: 0, disagreed: 0, shown: [] };
  for (const file of files) {
    for (const test of file.tests.filter((each) => each.verdict === "valid")) {
      const data = Buffer.from(test.data, "hex");
      report.envelopes++;
      for (let at = 0; at < data.length; at++) {
        const changed = Buffer.from(data);
        changed[at] ^= DIFFERENCES[at % DIFFERENCES.length];
        report.total++;
        if (decide(file, changed).verdict === "valid") {
          report.disagreed++;
          if (report.shown.length < SHOWN_MAX) report.shown.push(`${test.id} at ${at}`);
        }
      }
    }
  }
  return report;
}

const report = mode === "--mutate" ? mutate() : agree();
console.log(JSON.stringify(report));
process.exit(report.disagreed ? 1 : 0);
