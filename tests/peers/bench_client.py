#!/usr/bin/env python3
"""Reads all series of some runs with MLflow's own client, in one thread, and prints the seconds of wall and processor time
(without the time that the interpreter and its imports take), and the points.

  bench_client.py http://127.0.0.1:5000 RUNS
"""
import sys, time
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

wall, cpu = time.perf_counter(), time.process_time()
client = MlflowClient(sys.argv[1])
wanted, points = int(sys.argv[2]), 0
for experiment in client.search_experiments(view_type=ViewType.ALL):
    token = None
    while wanted:
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=min(wanted, 1000), page_token=token)
        for run in runs:
            wanted -= 1
            for key in run.data.metrics:
                points += len(client.get_metric_history(run.info.run_id, key))
        token = runs.token
        if not token:
            break
print(time.perf_counter() - wall, time.process_time() - cpu, points)
