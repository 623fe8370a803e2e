#!/usr/bin/env python3
"""Makes tests/data/mlruns with MLflow 3: one of everything that a file store holds.

    mkdir -p /home/ada/training && cp make_mlruns.py /home/ada/training && cd /home/ada/training
    USER=ada python make_mlruns.py && cp -r mlruns .../tests/data

The paths in the store are those of the folder it is made in.
"""
import os
import pathlib
import shutil

os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true", LOGNAME="ada")
import mlflow
from mlflow.entities import (
    Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, LoggedModelStatus,
)

here = pathlib.Path(__file__).parent
root, scratch = here / "mlruns", here / "scratch"
shutil.rmtree(root, ignore_errors=True)
(scratch / "model" / "data").mkdir(parents=True, exist_ok=True)
(scratch / "a.txt").write_text("text\n")
(scratch / "empty.bin").write_bytes(b"")
(scratch / "model" / "MLmodel").write_text("flavors: {}\n")
(scratch / "model" / "data" / "w.bin").write_bytes(bytes(range(20)))

mlflow.set_tracking_uri(str(root))
c = mlflow.MlflowClient()
exp = c.create_experiment("vision ü", tags={"mlflow.note.content": "a note\nof two lines", "team": "a/b"})

parent = c.create_run(exp, start_time=1700000000000, run_name="parent: 'quoted' #1",
                      tags={"mlflow.user": "ada", "mlflow.source.name": "train.py"}).info.run_id
child = c.create_run(exp, start_time=1700000001000, run_name="1e5", tags={"mlflow.parentRunId": parent}).info.run_id
for i, v in enumerate([1.0, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1e22, 0.1]):
    c.log_metric(parent, "train/loss", v, timestamp=1700000000000 + i, step=i)
c.log_metric(parent, "back", 1.0, timestamp=5, step=10)
c.log_metric(parent, "back", 2.0, timestamp=6, step=-3)
c.log_param(parent, "opt/lr", "0.1")
c.log_param(parent, "text", "a\r\nb\tü ")
c.set_tag(parent, "emoji", "🙂 x")
c.log_artifact(parent, str(scratch / "a.txt"), "dir/deep er")
c.log_artifact(parent, str(scratch / "empty.bin"))
data = Dataset(name="digits", digest="abc123", source_type="local", source='{"uri": "/d"}', schema='{"a": 1}',
               profile='{"n": 1}')
c.log_inputs(parent, [DatasetInput(data, [InputTag("mlflow.data.context", "train")])])

model = c.create_logged_model(experiment_id=exp, name="net", source_run_id=parent, params={"depth": "3"},
                              tags={"k": "v"}, model_type="classifier").model_id
c.log_model_artifacts(model, str(scratch / "model"))
c.finalize_logged_model(model, LoggedModelStatus.READY)
c.log_outputs(parent, [LoggedModelOutput(model, 7)])
c.log_metric(parent, "acc", 0.75, timestamp=1700000000100, step=7, model_id=model, dataset_name="digits",
             dataset_digest="abc123")
c.log_inputs(child, models=[LoggedModelInput(model)])
c.set_terminated(parent, "FINISHED", end_time=1700000060000)
c.set_terminated(child, "KILLED", end_time=1700000061000)

c.create_registered_model("net ü", tags={"rt": "1"}, description="the net")
c.create_model_version("net ü", source=f"models:/{model}", run_id=parent, model_id=model, description="first",
                       tags={"vt": "x"})
c.create_model_version("net ü", source=f"runs:/{parent}/dir", run_id=parent)
c.create_model_version("net ü", source=f"runs:/{parent}/dir", run_id=parent)
c.delete_model_version("net ü", "2")
c.set_registered_model_alias("net ü", "champion", "1")
c.transition_model_version_stage("net ü", "3", "Staging")
c.create_registered_model("empty")

deleted = c.create_run(exp, start_time=1700000002000, run_name="deleted").info.run_id
c.log_metric(deleted, "loss", 1.0, timestamp=1, step=1)
c.set_terminated(deleted, "FAILED", end_time=1700000062000)
c.delete_run(deleted)
gone = c.create_experiment("gone")
run = c.create_run(gone, start_time=1700000003000, run_name="in a deleted experiment").info.run_id
c.set_terminated(run, end_time=1700000063000)
c.delete_experiment(gone)

mlflow.set_experiment(experiment_id=exp)
for i in range(2):
    with mlflow.start_span(f"root-{i}") as span:
        span.set_inputs({"q": "ü" * i})
        span.set_outputs({"a": i, "list": [1, 2.5, None, True]})
        with mlflow.start_span("child", span_type="LLM") as inner:
            inner.set_attribute("tok", i)
shutil.rmtree(scratch)
