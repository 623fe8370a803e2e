"""What the W&B SDK takes for reading and for files, by itself.

  bench_wandb.py scan ENTITY/PROJECT/RUN        all rows by scan_history
  bench_wandb.py runs ENTITY/PROJECT            all runs with all that belongs to them, 50 a page
  bench_wandb.py put PROJECT FILE               a file as a new artifact `file`
  bench_wandb.py get ENTITY/PROJECT FOLDER      the latest version of it

Prints the seconds that it took, and how many rows, runs or bytes these were.
"""
import os
import sys
import time

import wandb


def scan(path):
    run = wandb.Api(timeout=600).run(path)
    start = time.time()
    rows = sum(1 for _ in run.scan_history())
    return start, rows


def runs(path):
    api = wandb.Api(timeout=600)
    start = time.time()
    pages = api.runs(path, per_page=50, **({"lazy": False} if newer(0, 22) else {}))
    return start, sum(1 for _ in pages)


def newer(*version):
    return tuple(int(part) for part in wandb.__version__.split(".")[:2]) >= version


def put(project, path):
    with wandb.init(project=project, settings=wandb.Settings(console="off", x_disable_stats=True)) as run:
        start = time.time()
        artifact = wandb.Artifact("file", type="data")
        # Hashed and sent from where it is.
        artifact.add_file(path, policy="immutable")
        run.log_artifact(artifact).wait()
        took = time.time() - start
    return time.time() - took, os.path.getsize(path)


def get(path, folder):
    artifact = wandb.Api(timeout=600).artifact(f"{path}/file:latest")
    start = time.time()
    artifact.download(root=folder, skip_cache=True)
    return start, sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def main():
    what, *args = sys.argv[1:]
    start, count = {"scan": scan, "runs": runs, "put": put, "get": get}[what](*args)
    print(time.time() - start, count)


main()
