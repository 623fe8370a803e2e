#!/usr/bin/env python3
"""Fetches every point of an MLflow database with one cursor and prints the seconds of wall and processor time, and the rows.

  bench_sqlite.py mlflow.db
"""
import sqlite3, sys, time

wall, cpu = time.perf_counter(), time.process_time()
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
rows = 0
for _ in db.execute("SELECT run_uuid, key, step, timestamp, value, is_nan FROM metrics"):
    rows += 1
print(time.perf_counter() - wall, time.process_time() - cpu, rows)
