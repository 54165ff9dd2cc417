// Which of the signatures of a table [id, ..., public key, message, signature] hold?
//
//   node signatures.mjs FILE     prints a JSON array of their ids

import { readFileSync } from "node:fs";

import { isSigned } from "./statement.mjs";

const { tests } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const taken = tests.filter((row) => {
  const [key, message, signature] = row.slice(-3).map((text) => Buffer.from(text, "hex"));
  return isSigned(key, message, signature);
});
console.log(JSON.stringify(taken.map(([id]) => id)));
