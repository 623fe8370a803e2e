"""Logs to a server with the wandb SDK, reads everything back with the SDK, and compares.

    wandb_session.py log TRUTH.json      log runs; write down what was logged
    wandb_session.py read TRUTH.json     read it back with wandb.Api(); exit 1 with what differs
    wandb_session.py sweep TRUTH.json    a sweep with three agents
    wandb_session.py offline TRUTH.json  log offline, synchronise twice, read back

The server and the key come from WANDB_BASE_URL and WANDB_API_KEY. It works with SDKs from 0.21 on.
"""

import json
import math
import os
import random
import subprocess
import sys
import threading
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import wandb  # noqa: E402

PROJECT = "session"
QUIET = dict(silent=True)


def settings(**more):
    return wandb.Settings(**QUIET, **more)


def log(path):
    truth = {"runs": {}}
    truth["runs"]["main"] = log_main()
    truth["runs"]["resumed"] = log_resumed()
    truth["runs"]["rewound"] = log_rewound()
    truth["runs"]["forked"] = log_forked()
    truth["runs"]["failed"] = log_failed()
    with open(path, "w", encoding="utf-8") as out:
        json.dump(truth, out, indent=1)


def log_main():
    rng = random.Random(7)
    config = {
        "lr": 0.125,
        "layers": [3, 5, 8],
        "nested": {"a": {"b": "x"}, "n": None},
        "flag": True,
        "big": 2**53 + 1,
        "text": "naïve ☃",
    }
    run = wandb.init(
        project=PROJECT, id="main", name="the main run", config=config, tags=["one", "two"],
        notes="some notes", group="g1", job_type="train", settings=settings(x_stats_sampling_interval=0.2),
    )
    run.define_metric("acc", summary="max")
    rows = []
    for i in range(60):
        row = {
            "loss": rng.random(),
            "acc": i / 60,
            "count": i,
            "train/deep.key": rng.gauss(0, 1),
            "nested": {"a": {"b": i}},
            "word": f"w{i}",
        }
        if i % 7 == 0:
            row["sparse"] = float(i)
        if i % 20 == 3:
            row["odd"] = [float("nan"), float("inf"), float("-inf")][i // 20]
        run.log(row)
        rows.append({"_step": i, **row})
    run.log({"hist": wandb.Histogram(np.linspace(0, 1, 50)), "img": wandb.Image(np.zeros((4, 4, 3), np.uint8))})
    run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])})
    print("a line of output")
    print("another line, on standard error", file=sys.stderr)
    with open("note.txt", "w", encoding="utf-8") as out:
        out.write("a file of the run\n" * 100)
    run.save("note.txt", policy="now")
    run.alert("title", "text")
    run.summary["final"] = 42
    time.sleep(1)  # The machine is measured now and then.
    run.config["added"] = "later"
    run.finish()
    return {
        "id": "main", "name": "the main run", "state": "finished", "config": {**config, "added": "later"},
        "tags": ["one", "two"], "notes": "some notes", "group": "g1", "job_type": "train",
        "rows": clean(rows), "summary": {"final": 42, "acc": {"max": 59 / 60}, "count": 59},
        "files": {"note.txt": "a file of the run\n" * 100},
        "file_names": ["note.txt", "config.yaml", "wandb-metadata.json", "wandb-summary.json", "requirements.txt"],
        "media": {"img": "image-file", "table": "table-file", "hist": "histogram"},
    }


def log_resumed():
    rows = []
    for start, stop in ((0, 5), (5, 9)):
        run = wandb.init(project=PROJECT, id="resumed", resume="allow", config={f"from{start}": 1}, settings=settings())
        for i in range(start, stop):
            run.log({"x": i * 2})
            rows.append({"_step": i, "x": i * 2})
        run.finish()
    return {"id": "resumed", "state": "finished", "rows": rows}


def log_rewound():
    run = wandb.init(project=PROJECT, id="rewound", settings=settings())
    for i in range(8):
        run.log({"x": i})
    run.finish()
    run = wandb.init(project=PROJECT, resume_from="rewound?_step=4", settings=settings())
    for i in range(3):
        run.log({"x": 100 + i})
    run.finish()
    rows = [{"_step": i, "x": i} for i in range(5)] + [{"_step": 5 + i, "x": 100 + i} for i in range(3)]
    return {"id": "rewound", "state": "finished", "rows": rows}


def log_forked():
    run = wandb.init(project=PROJECT, id="forked", fork_from="resumed?_step=3", settings=settings())
    for i in range(2):
        run.log({"x": 1000 + i})
    run.finish()
    rows = [{"_step": i, "x": i * 2} for i in range(4)] + [{"_step": 4 + i, "x": 1000 + i} for i in range(2)]
    return {"id": "forked", "state": "finished", "rows": rows}


def log_failed():
    code = (
        "import sys, wandb\n"
        f"run = wandb.init(project={PROJECT!r}, id='failed', settings=wandb.Settings(silent=True))\n"
        "run.log({'x': 1})\nrun.finish(exit_code=3)\n"
    )
    child({}, "-c", code)
    return {"id": "failed", "state": "failed", "rows": [{"_step": 0, "x": 1}]}


def child(env, *args):
    """Runs Python beside this process, not within its session of the SDK."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("WANDB__") and key != "WANDB_SERVICE"}
    subprocess.run([sys.executable, "-W", "ignore", *args], env={**own, **env}, check=True, stdout=subprocess.DEVNULL)


def clean(value):
    """JSON has no numbers that are not finite: words stand for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(inner) for inner in value]
    return value


class Differences:
    def __init__(self):
        self.found = []

    def expect(self, what, seen, wanted):
        if clean(seen) != clean(wanted):
            self.found.append(f"{what}: {clean(seen)!r:.300}, and not {clean(wanted)!r:.300}")

    def end(self):
        for line in self.found:
            print(line, file=sys.stderr)
        sys.exit(1 if self.found else 0)


def read(path):
    with open(path, encoding="utf-8") as text:
        truth = json.load(text)
    api = wandb.Api()
    found = Differences()
    runs = {run.id: run for run in api.runs(f"{api.default_entity}/{PROJECT}", per_page=2, order="+created_at")}
    found.expect("ids of runs", sorted(runs), sorted(run["id"] for run in truth["runs"].values()))
    for wanted in truth["runs"].values():
        read_run(found, api, wanted)
    project = f"{api.default_entity}/{PROJECT}"
    for query, ids in (
        ({"config.lr": 0.125}, ["main"]),
        ({"state": "failed"}, ["failed"]),
        ({"$and": [{"tags": {"$in": ["two"]}}, {"display_name": {"$regex": "main"}}]}, ["main"]),
        ({"summary_metrics.final": {"$gt": 41}}, ["main"]),
        ({"config.lr": 9}, []),
    ):
        found.expect(f"runs with {query}", [run.id for run in api.runs(project, query)], ids)
    edit(found, api)
    found.end()


def read_run(found, api, wanted):
    name = wanted["id"]
    run = api.run(f"{api.default_entity}/{PROJECT}/{name}")
    found.expect(f"{name}: state", run.state, wanted["state"])
    rows = []
    for row in run.scan_history():
        kept = {key: value for key, value in row.items() if value is not None and key not in ("_timestamp", "_runtime")}
        if not any(isinstance(value, dict) and "_type" in value for value in kept.values()):
            rows.append(kept)
    found.expect(f"{name}: rows", rows, wanted["rows"])
    keyed = [row["x"] for row in run.scan_history(keys=["x"])] if "x" in wanted["rows"][0] else None
    if keyed is not None:
        found.expect(f"{name}: x", keyed, [row["x"] for row in wanted["rows"]])
    if "config" not in wanted:
        return
    found.expect(f"{name}: config", run.config, wanted["config"])
    for key in ("name", "tags", "notes", "group", "job_type"):
        found.expect(f"{name}: {key}", getattr(run, key), wanted[key])
    for key, value in wanted["summary"].items():
        seen = run.summary.get(key)
        found.expect(f"{name}: summary of {key}", dict(seen) if hasattr(seen, "items") else seen, value)
    for key, kind in wanted["media"].items():
        found.expect(f"{name}: kind of {key}", run.summary.get(key)["_type"], kind)
    names = {file.name: file for file in run.files()}
    for file in wanted["file_names"]:
        found.expect(f"{name}: has {file}", file in names, True)
    for file, text in wanted["files"].items():
        with names[file].download(root="downloads", replace=True) as seen:
            found.expect(f"{name}: {file}", seen.read(), text)
    image = run.summary.get("img")["path"]
    found.expect(f"{name}: size of {image}", names[image].size, run.summary.get("img")["size"])
    sample = run.history(samples=10, pandas=False)
    found.expect(f"{name}: rows of a sample", len(sample), 10)
    found.expect(f"{name}: first of the sample", sample[0]["_step"], 0)
    system = run.history(stream="events", pandas=False)
    found.expect(f"{name}: something is known of the machine", any("system." in key for row in system for key in row), True)
    found.expect(f"{name}: user", run.user.username if run.user else None, api.viewer.username)


def edit(found, api):
    path = f"{api.default_entity}/{PROJECT}/failed"
    run = api.run(path)
    run.config["edited"] = {"by": ["me"]}
    run.tags = ["z"]
    run.notes = "edited"
    run.name = "a better name"
    run.update()
    run.summary["best"] = 0.5
    run.summary.update()
    with open("later.txt", "w", encoding="utf-8") as out:
        out.write("put there later")
    run.upload_file("later.txt")
    again = wandb.Api().run(path)
    found.expect("edited config", again.config, {"edited": {"by": ["me"]}})
    found.expect("edited tags", again.tags, ["z"])
    found.expect("edited notes", again.notes, "edited")
    found.expect("edited name", again.name, "a better name")
    found.expect("edited summary", again.summary.get("best"), 0.5)
    found.expect("state after an edit", again.state, "failed")
    found.expect("size of the file", again.file("later.txt").size, 15)
    again.file("later.txt").delete()
    found.expect("file is gone", "later.txt" in [file.name for file in again.files()], False)
    try:
        api.run(f"{api.default_entity}/{PROJECT}/nobody")
        found.expect("a run that is not there", "found", "not found")
    except (ValueError, wandb.errors.CommError):
        pass


def sweep(path):
    found = Differences()
    config = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "fixed": {"value": "f"}},
    }
    name = wandb.sweep(config, project=PROJECT + "-sweep")
    agent = (
        "import sys, wandb\n"
        "def train():\n"
        "    with wandb.init(settings=wandb.Settings(silent=True)) as run:\n"
        "        run.log({'loss': (run.config.lr - 0.3) ** 2})\n"
        f"wandb.agent({name!r}, train, project={PROJECT + '-sweep'!r})\n"
    )
    agents = [threading.Thread(target=child, args=({}, "-c", agent)) for _ in range(3)]
    for one in agents:
        one.start()
    for one in agents:
        one.join()
    api = wandb.Api()
    seen = api.sweep(f"{api.default_entity}/{PROJECT}-sweep/{name}")
    found.expect("state of the sweep", seen.state.upper(), "FINISHED")
    found.expect("learning rates", sorted(run.config["lr"] for run in seen.runs), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    found.expect("best run", seen.best_run().config, {"lr": 0.3, "fixed": "f"})
    found.expect("expected runs", seen.expected_run_count, 6)
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"sweep": name, "project": PROJECT + "-sweep", "runs": sorted(run.id for run in seen.runs)}, out)
    found.end()


def offline(path):
    found = Differences()
    code = (
        "import wandb\n"
        f"run = wandb.init(project={PROJECT + '-offline'!r}, id='off', config={{'a': 1}}, settings=wandb.Settings(silent=True))\n"
        "for i in range(12):\n    run.log({'x': i})\n"
        "print('said offline')\nrun.finish()\n"
    )
    child({"WANDB_MODE": "offline", "WANDB_DIR": os.getcwd()}, "-c", code)
    folder = next(os.path.join("wandb", name) for name in sorted(os.listdir("wandb")) if name.startswith("offline-run"))
    for _ in range(2):
        child({}, "-m", "wandb", "sync", "--include-synced", folder)
    api = wandb.Api()
    run = api.run(f"{api.default_entity}/{PROJECT}-offline/off")
    rows = [(row["_step"], row["x"]) for row in run.scan_history()]
    found.expect("rows of the offline run", rows, [(i, i) for i in range(12)])
    found.expect("state of the offline run", run.state, "finished")
    found.expect("config of the offline run", run.config, {"a": 1})
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"rows": rows, "created_at": run.created_at}, out)
    found.end()


if __name__ == "__main__":
    {"log": log, "read": read, "sweep": sweep, "offline": offline}[sys.argv[1]](sys.argv[2])
