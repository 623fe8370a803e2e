// How many documents a second mingo filters: query_mingo.mjs FOLDER_OF_MINGO FOLDER_OF_DOCUMENTS.
// The folders are those of the package, and of docs.jsonl and filters.json. Prints an object:
// for each filter what matched, and the documents a second of each round.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const ROUNDS = 3;
const TRIES = 3;
const [packages, folder] = process.argv.slice(2);
const { Query } = createRequire(path.resolve(packages, "x.js"))("mingo");
const documents = fs
  .readFileSync(path.join(folder, "docs.jsonl"), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line));
const filters = JSON.parse(fs.readFileSync(path.join(folder, "filters.json"), "utf8"));
const figures = {};
for (const [name, filter] of Object.entries(filters)) {
  const query = new Query(filter);
  const rounds = [];
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let least = Infinity;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const start = performance.now();
      found = 0;
      for (const document of documents) if (query.test(document)) found++;
      least = Math.min(least, performance.now() - start);
    }
    rounds.push((documents.length / least) * 1000);
  }
  figures[name] = { found, rounds };
}
console.log(JSON.stringify(figures));
