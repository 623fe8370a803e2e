"""Answers of a real MongoDB server: query_mongo.py PORT FOLDER ROUNDS.

Loads FOLDER/docs.jsonl into the server unless it is there, asks each filter of FOLDER/filters.json without an index,
and prints a JSON document a line: `filter`, `found`, and the milliseconds of each round for the count, for the names
of all that match, and for the whole documents, read as Python's driver reads them and as raw bytes.
"""
import json
import sys
import time

import pymongo

port, folder, rounds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
runs = pymongo.MongoClient("127.0.0.1", port).bench.runs
with open(f"{folder}/docs.jsonl") as lines:
    total = sum(1 for _ in lines)
if runs.estimated_document_count() != total:
    runs.drop()
    some = []
    with open(f"{folder}/docs.jsonl") as lines:
        for line in lines:
            some.append(json.loads(line))
            if len(some) == 5000:
                runs.insert_many(some)
                some = []
    if some:
        runs.insert_many(some)
filters = json.load(open(f"{folder}/filters.json"))


def timed(ask):
    start = time.perf_counter()
    found = ask()
    return found, (time.perf_counter() - start) * 1e3


for name, filter in filters.items():
    ways = {
        "count": lambda: runs.count_documents(filter),
        "names": lambda: sum(1 for _ in runs.find(filter, {"name": 1, "_id": 0})),
        "whole": lambda: sum(1 for _ in runs.find(filter)),
        "raw": lambda: sum(len(batch) for batch in runs.find_raw_batches(filter)),
    }
    figures = {way: [] for way in ways}
    found = None
    for round in range(rounds + 1):
        for way, ask in ways.items():
            n, ms = timed(ask)
            if way == "count":
                found = n
            # The first round warms the caches.
            if round:
                figures[way].append(ms)
    print(json.dumps({"filter": name, "found": found, **figures}), flush=True)
