#!/usr/bin/env python3
"""Trains some small models and lets MLflow write `mlruns`, the file store that the first command of the README imports.

    python3 -m venv venv && venv/bin/pip install mlflow==3.17.2
    venv/bin/python make_mlruns.py            # replaces the folder mlruns beside this script

The trainings are real (numpy only; the data sets are those that come with scikit-learn), the curves are theirs. Only the
clock is made up: each run gets the times that it would have on a slower machine, so that a second run of this script gives
the same numbers, but for the ids. The store then names a home that does not exist, as one does that was copied from
somebody else's machine.
"""
import hashlib
import io
import json
import os
import pathlib
import shutil
import struct
import tempfile
import traceback
import zlib

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from sklearn.datasets import load_breast_cancer, load_digits

HOME = "file:///home/ada/training/mlruns"
MONDAY = 1_794_820_320_000  # 2026-11-16 09:12 UTC, milliseconds


class Recorder:
    """One MLflow run: collects points and hands them to MLflow in batches, as its own asynchronous logging does."""

    def __init__(self, client, experiment, name, start, script, parent=None, note=None, tags=None):
        source = pathlib.Path(__file__).read_bytes()
        all_tags = {
            "mlflow.user": "ada",
            "mlflow.source.name": script,
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": hashlib.sha1(b"blob %d\0" % len(source) + source).hexdigest(),
            "mlflow.source.git.branch": "main",
            **(tags or {}),
        }
        if parent:
            all_tags["mlflow.parentRunId"] = parent.id
        if note:
            all_tags["mlflow.note.content"] = note
        self.client, self.start, self.now, self.points = client, start, start, []
        run = client.create_run(experiment, start_time=start, run_name=name, tags=all_tags)
        self.id = run.info.run_id

    def params(self, **params):
        self.client.log_batch(self.id, params=[Param(k, str(v)) for k, v in params.items()])

    def log(self, step, seconds=0.0, **metrics):
        self.now += int(seconds * 1000)
        for key, value in metrics.items():
            self.points.append(Metric(key.replace("__", "/"), float(value), self.now, step))

    def data(self, name, source, x, y, context):
        digest = hashlib.md5(x.tobytes() + y.tobytes()).hexdigest()[:8]
        dataset = Dataset(name, digest, "local", json.dumps({"uri": source}),
                          schema=json.dumps({"features": list(x.shape[1:]), "classes": int(y.max()) + 1}),
                          profile=json.dumps({"num_rows": len(x)}))
        self.client.log_inputs(self.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def file(self, path, content):
        folder = pathlib.Path(tempfile.mkdtemp())
        name = folder / pathlib.PurePosixPath(path).name
        name.write_bytes(content if isinstance(content, bytes) else content.encode())
        parent = str(pathlib.PurePosixPath(path).parent)
        self.client.log_artifact(self.id, str(name), None if parent == "." else parent)
        shutil.rmtree(folder)

    def end(self, status="FINISHED"):
        for at in range(0, len(self.points), 1000):
            self.client.log_batch(self.id, metrics=self.points[at:at + 1000])
        self.client.set_terminated(self.id, status, end_time=self.now + 1500)
        return self


def png(matrix, cell=12):
    """A matrix of numbers as a grey picture."""
    scaled = 255 - (255 * matrix / max(matrix.max(), 1)).astype(np.uint8)
    pixels = np.kron(scaled, np.ones((cell, cell), np.uint8))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order] / 16.0, y[order]
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def train_mlp(run, lr, seed=1, hidden=32, steps=240, batch=64):
    """A perceptron with one hidden layer; its softmax is the naive one, which overflows when the steps are too large."""
    (x, y), (xv, yv) = digits()
    rng = np.random.default_rng(seed)
    w1, b1 = rng.normal(0, 0.18, (64, hidden)), np.zeros(hidden)
    w2, b2 = rng.normal(0, 0.18, (hidden, 10)), np.zeros(10)
    run.params(lr=lr, seed=seed, hidden=hidden, batch_size=batch, steps=steps, optimizer="sgd", schedule="cosine")
    run.data("digits", "sklearn://digits", x, y, "training")
    run.data("digits-val", "sklearn://digits", xv, yv, "validation")

    def forward(x):
        h = np.maximum(x @ w1 + b1, 0)
        e = np.exp(h @ w2 + b2)
        return h, e / e.sum(1, keepdims=True)

    with np.errstate(all="ignore"):
        for step in range(steps):
            pick = rng.integers(0, len(x), batch)
            h, p = forward(x[pick])
            loss = -np.log(p[np.arange(batch), y[pick]]).mean()
            g = p.copy()
            g[np.arange(batch), y[pick]] -= 1
            g /= batch
            gh = (g @ w2.T) * (h > 0)
            grads = [x[pick].T @ gh, gh.sum(0), h.T @ g, g.sum(0)]
            rate = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
            for weight, grad in zip((w1, b1, w2, b2), grads):
                weight -= rate * grad
            run.log(step, 0.42, train__loss=loss, train__grad_norm=np.sqrt(sum((g * g).sum() for g in grads)))
            if step % 10 == 9:
                _, pv = forward(xv)
                run.log(step, 0.35, val__loss=-np.log(pv[np.arange(len(yv)), yv]).mean(),
                        val__accuracy=(pv.argmax(1) == yv).mean(), lr=rate)
            if not np.isfinite(loss) and step % 10 == 9 and step > 60:
                break
    _, pv = forward(xv)
    confusion = np.zeros((10, 10))
    np.add.at(confusion, (yv, pv.argmax(1)), 1)
    return (w1, b1, w2, b2), confusion, float((pv.argmax(1) == yv).mean())


def digits_experiment(client):
    experiment = client.create_experiment("digits-mlp", tags={
        "mlflow.note.content": "Which learning rate for a small perceptron on the 8×8 digits?", "team": "vision"})
    parent = Recorder(client, experiment, "learning-rate sweep", MONDAY, "sweep_digits.py",
                      note="## Learning rates\nOne child a rate, same seed. **0.3** wins; 40 overflows in its first steps.")
    parent.params(rates="0.003, 0.03, 0.3, 40", seeds=1)
    best, table = None, ["lr,val_accuracy"]
    for i, lr in enumerate((0.003, 0.03, 0.3, 40)):
        run = Recorder(client, experiment, f"lr={lr}", parent.now, "train_digits.py", parent, tags={"sweep": "lr"})
        weights, confusion, accuracy = train_mlp(run, lr)
        run.file("report/confusion.png", png(confusion))
        run.file("report/confusion.json", json.dumps(confusion.astype(int).tolist()))
        run.end()
        parent.now = run.now + 4000
        parent.log(i, best__val_accuracy=max(accuracy, best[0] if best else 0))
        table.append(f"{lr},{accuracy:.4f}")
        if best is None or accuracy > best[0]:
            best = (accuracy, run, weights, lr)
    parent.file("sweep.csv", "\n".join(table) + "\n")
    parent.end()

    _, winner, weights, lr = best
    packed = io.BytesIO()
    np.savez_compressed(packed, **{k: w.astype(np.float32) for k, w in zip(("w1", "b1", "w2", "b2"), weights)})
    winner.file("model/weights.npz", packed.getvalue())
    winner.file("model/labels.txt", "\n".join(map(str, range(10))) + "\n")
    client.create_registered_model("digits-mlp", tags={"team": "vision"}, description="Reads one handwritten digit of 8×8 pixels.")
    version = client.create_model_version("digits-mlp", f"{client.get_run(winner.id).info.artifact_uri}/model", winner.id,
                                          description=f"The best of the sweep, lr={lr}.")
    client.set_registered_model_alias("digits-mlp", "champion", version.version)

    start = parent.now + 3_600_000
    for seed in (2, 3):
        run = Recorder(client, experiment, f"lr=0.3, seed={seed}", start, "train_digits.py", tags={"sweep": "seeds"})
        train_mlp(run, 0.3, seed)
        run.end()
        start = run.now + 5000


def train_logistic(run, l2, broken=False, steps=150):
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    x, y, xv, yv = x[:400], y[:400], x[400:], y[400:]
    run.params(l2=l2, lr=0.5, steps=steps)
    run.data("breast-cancer", "sklearn://breast_cancer", x, y, "training")
    w, b = np.zeros(x.shape[1]), 0.0
    for step in range(steps):
        p = 1 / (1 + np.exp(-(x @ w + b)))
        loss = -(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12)).mean() + l2 * (w * w).sum()
        w -= 0.5 * (x.T @ (p - y) / len(y) + 2 * l2 * w)
        b -= 0.5 * (p - y).mean()
        run.log(step, 0.2, loss=loss)
        if step % 5 == 4:
            if broken and step > 60:
                yv = yv[:-1]  # the mistake that ends this run
            correct = ((xv @ w + b > 0) == yv).mean()
            run.log(step, 0.1, val_accuracy=correct)
    order = np.argsort(-np.abs(w))
    run.file("weights.csv", "feature,weight\n" + "".join(f"{i},{w[i]:.6f}\n" for i in order))


def logistic_experiment(client):
    experiment = client.create_experiment("breast-cancer / logistic", tags={"team": "tabular"})
    start = MONDAY + 86_400_000
    for l2 in (0.0, 0.01):
        run = Recorder(client, experiment, f"l2={l2}", start, "train_logistic.py")
        train_logistic(run, l2)
        run.file("logs/warnings.txt", "")
        run.end()
        start = run.now + 60_000
    run = Recorder(client, experiment, "l2=0.1 (new split)", start, "train_logistic.py", tags={"todo": "fix the split"})
    try:
        train_logistic(run, 0.1, broken=True)
    except ValueError as error:
        run.file("logs/error.txt", "".join(traceback.format_exception_only(error)))
        run.end("FAILED")


def play(run, policy, arms, rounds=600, seed=5):
    """One gambler at a row of slot machines; `arms` are their true chances."""
    rng = np.random.default_rng(seed)
    wins, pulls = np.zeros(len(arms)), np.zeros(len(arms))
    regret, earned = 0.0, 0
    for t in range(1, rounds + 1):
        arm = policy(rng, wins, pulls, t)
        reward = rng.random() < arms[arm]
        wins[arm] += reward
        pulls[arm] += 1
        earned += reward
        regret += max(arms) - arms[arm]
        if t % 3 == 0:
            run.log(t, 0.05, regret=regret, mean_reward=earned / t)
    run.file("pulls.json", json.dumps({"arms": list(arms), "pulls": pulls.astype(int).tolist(), "wins": wins.astype(int).tolist()}))


def bandit_experiment(client):
    experiment = client.create_experiment("bandit", tags={"mlflow.note.content": "How much does it cost to find the best of five arms?"})
    arms = (0.12, 0.25, 0.31, 0.33, 0.48)

    def greedy(epsilon):
        return lambda rng, wins, pulls, t: rng.integers(len(pulls)) if rng.random() < epsilon else int(np.argmax((wins + 1) / (pulls + 1)))

    policies = {
        "epsilon-greedy": ({"epsilon": 0.1}, greedy(0.1)),
        "ucb1": ({"c": 2}, lambda rng, wins, pulls, t: int(np.argmax(np.where(pulls == 0, np.inf, wins / np.maximum(pulls, 1) + np.sqrt(2 * np.log(t) / np.maximum(pulls, 1)))))),
        "thompson": ({"prior": "Beta(1, 1)"}, lambda rng, wins, pulls, t: int(np.argmax(rng.beta(1 + wins, 1 + pulls - wins)))),
        "false start": ({"epsilon": 1.0}, greedy(1.0)),
    }
    start = MONDAY + 2 * 86_400_000
    for name, (params, policy) in policies.items():
        run = Recorder(client, experiment, name, start, "bandit.py")
        run.params(policy=name, rounds=600, **params)
        play(run, policy, arms, rounds=120 if name == "false start" else 600)
        run.end()
        start = run.now + 30_000
        if name == "false start":
            client.delete_run(run.id)


def main():
    target = pathlib.Path(__file__).resolve().parent / "mlruns"
    with tempfile.TemporaryDirectory() as folder:
        store = pathlib.Path(folder) / "mlruns"
        os.chdir(folder)
        client = MlflowClient(tracking_uri=store.as_uri(), registry_uri=store.as_uri())
        digits_experiment(client)
        logistic_experiment(client)
        bandit_experiment(client)
        here = store.as_uri()
        for meta in store.rglob("meta.yaml"):
            text = meta.read_text(encoding="utf-8")
            meta.write_text(text.replace(here, HOME).replace(str(store), HOME.removeprefix("file://")), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(store, target)
    files = [f for f in target.rglob("*") if f.is_file()]
    print(f"{target}: {len(files)} files, {sum(f.stat().st_size for f in files) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
