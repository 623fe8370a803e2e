"""Logs artifacts with the SDK that is installed, reads them again, and prints what it saw as one
JSON document. The server is named by WANDB_BASE_URL and WANDB_API_KEY; the project by the first
argument."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import wandb

PROJECT = sys.argv[1] if len(sys.argv) > 1 else "artifacts"
SEEN = {"sdk": wandb.__version__}


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def tree(folder):
    """The files below a folder with the MD5 of what is in them."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = hashlib.md5(path.read_bytes()).hexdigest()
    return found


def error_of(action):
    """Whether an action fails."""
    try:
        action()
    except Exception as error:  # whatever the SDK makes of it
        return type(error).__name__
    return None


def facts(artifact):
    return {
        "name": artifact.name,
        "type": artifact.type,
        "version": artifact.version,
        "digest": artifact.digest,
        "state": artifact.state,
        "size": artifact.size,
        "aliases": sorted(artifact.aliases),
        "description": artifact.description,
        "metadata": artifact.metadata,
        "entries": sorted(artifact.manifest.entries),
    }


def first_version(folder, reference):
    artifact = wandb.Artifact(
        "data", type="dataset", description="first", metadata={"rows": 3, "nested": {"a": [1, None]}}
    )
    artifact.add_file(str(write(folder, "one.txt", "one")))
    artifact.add_file(str(write(folder, "empty.txt", "")))
    write(folder, "dir/a.txt", "a" * 1000)
    write(folder, "dir/sub/b ü.txt", "b")
    artifact.add_dir(str(folder / "dir"), name="dir")
    artifact.add_reference(reference.as_uri(), name="elsewhere.txt")
    with artifact.new_file("made.json") as file:
        file.write("{}")
    return artifact


def log(folder, reference):
    with wandb.init(project=PROJECT, name="maker", job_type="make") as run:
        SEEN["entity"] = run.entity
        first = run.log_artifact(first_version(folder, reference), aliases=["latest", "base"])
        first.wait()
        SEEN["first"] = facts(first)

        draft = first.new_draft()
        draft.add_file(str(write(folder, "two.txt", "two")))
        draft.remove("one.txt")
        second = run.log_artifact(draft)
        second.wait()
        SEEN["second"] = facts(second)

        same = wandb.Artifact("data", type="dataset")
        for name in second.manifest.entries:
            if name == "elsewhere.txt":
                same.add_reference(reference.as_uri(), name=name)
                continue
            local = {"two.txt": "two.txt", "empty.txt": "empty.txt"}.get(name, name)
            if name == "made.json":
                write(folder, name, "{}")
            same.add_file(str(folder / local), name=name)
        third = run.log_artifact(same, aliases=["again"])
        third.wait()
        SEEN["same"] = facts(third)

        table = wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
        run.log({"table": table})
        holder = wandb.Artifact("tables", type="results")
        holder.add(wandb.Table(columns=["c"], data=[[1.5]]), "inner")
        holder.add_reference(first.get_entry("dir/a.txt"), name="of-data.txt")
        run.log_artifact(holder).wait()

        linked = run.link_artifact(second, "shelf", aliases=["best"])
        SEEN["linked"] = linked and {"name": linked.name, "aliases": sorted(linked.aliases)}
        return run.id


def use(folder):
    with wandb.init(project=PROJECT, name="user", job_type="use") as run:
        used = run.use_artifact("data:base")
        root = used.download(root=str(folder / "first"))
        used.verify(root=root)
        SEEN["downloaded"] = tree(root)
        latest = run.use_artifact("data:latest")
        SEEN["downloaded_latest"] = tree(latest.download(root=str(folder / "latest")))
        entry = latest.get_entry("dir/a.txt").download(root=str(folder / "entry"))
        SEEN["one_entry"] = hashlib.md5(Path(entry).read_bytes()).hexdigest()
        tables = run.use_artifact("tables:latest")
        SEEN["table"] = [list(row) for row in tables.get("inner").data]
        SEEN["through"] = tree(tables.download(root=str(folder / "tables")))
        return run.id


def read(maker, user, folder):
    entity = SEEN["entity"]
    api = wandb.Api()
    path = f"{entity}/{PROJECT}"
    second = api.artifact(f"{path}/data:v1")
    SEEN["read"] = facts(second)
    SEEN["files"] = sorted((file.name, file.size) for file in second.files())
    SEEN["some_files"] = sorted(file.name for file in second.files(names=["two.txt"]))
    SEEN["logged_by"] = second.logged_by().id == maker
    SEEN["used_by"] = [run.id == user for run in second.used_by()]
    SEEN["versions"] = [a.version for a in api.artifacts("dataset", f"{path}/data")]
    SEEN["types"] = sorted(kind.name for kind in api.artifact_types(path))
    kind = api.artifact_type("dataset", path)
    SEEN["collections"] = sorted(c.name for c in kind.collections())
    SEEN["exists"] = [
        api.artifact_exists(f"{path}/data:v1"),
        api.artifact_exists(f"{path}/data:v9"),
        api.artifact_collection_exists(f"{path}/data", "dataset"),
        api.artifact_collection_exists(f"{path}/nothing", "dataset"),
    ]
    runs = {run.id: run for run in api.runs(path)}
    SEEN["logged_artifacts"] = sorted(a.name for a in runs[maker].logged_artifacts() if a.type != "run_table")
    SEEN["logged_tables"] = len([a for a in runs[maker].logged_artifacts() if a.type == "run_table"])
    SEEN["used_artifacts"] = sorted(a.name for a in runs[user].used_artifacts())
    shelf = api.artifact(f"{path}/shelf:best")
    SEEN["shelf"] = {
        "name": shelf.name,
        "source": shelf.source_name,
        "files": tree(shelf.download(root=str(folder / "shelf"))),
    }


def together(folder):
    """Several runs write one version, and a later one adds to it."""
    for place in range(2):
        with wandb.init(project=PROJECT, group="together") as run:
            part = wandb.Artifact("parts", type="dataset")
            part.add_file(str(write(folder, f"part-{place}.txt", f"part {place}")))
            run.upsert_artifact(part)
    with wandb.init(project=PROJECT, group="together") as run:
        run.finish_artifact(wandb.Artifact("parts", type="dataset"))
    path = f"{SEEN['entity']}/{PROJECT}"
    whole = wandb.Api().artifact(f"{path}/parts:latest")
    SEEN["together"] = tree(whole.download(root=str(folder / "together")))
    whole.link("wandb-registry-model/parts", aliases=["prod"])
    registered = wandb.Api().artifact("wandb-registry-model/parts:prod")
    SEEN["registered"] = [registered.qualified_name, registered.source_name]
    with wandb.init(project=PROJECT) as run:
        more = wandb.Artifact("parts", type="dataset", incremental=True)
        more.add_file(str(write(folder, "more.txt", "more")))
        run.log_artifact(more).wait()
    added = wandb.Api().artifact(f"{path}/parts:v1")
    SEEN["added"] = sorted(added.manifest.entries)
    wandb.Api().run(f"{path}/{run.id}").log_artifact(added, aliases=["chosen"])
    SEEN["chosen"] = wandb.Api().artifact(f"{path}/parts:chosen").version


def edit(user):
    entity = SEEN["entity"]
    path = f"{entity}/{PROJECT}"
    api = wandb.Api()
    second = api.artifact(f"{path}/data:v1")
    second.description = "second"
    second.metadata["rows"] = 4
    second.tags = ["good", "checked"]
    second.aliases.append("chosen")
    second.aliases.remove("again")
    second.ttl = wandb.ArtifactTTL.INHERIT if hasattr(wandb, "ArtifactTTL") else None
    second.save()
    fresh = wandb.Api().artifact(f"{path}/data:chosen")
    SEEN["edited"] = {**facts(fresh), "tags": sorted(fresh.tags)}
    fresh.tags = ["checked"]
    fresh.save()
    SEEN["tags"] = sorted(wandb.Api().artifact(f"{path}/data:chosen").tags)

    collection = wandb.Api().artifact_collection("dataset", f"{path}/data")
    collection.description = "what we train on"
    collection.tags = ["team"]
    collection.save()
    collection = wandb.Api().artifact_collection("dataset", f"{path}/data")
    SEEN["collection"] = {
        "description": collection.description,
        "tags": sorted(collection.tags),
        "aliases": sorted(collection.aliases),
        "sequence": collection.is_sequence(),
    }
    collection.name = "renamed"
    collection.type = "corpus"
    collection.tags = ["team", "kept"]
    collection.save()
    collection = wandb.Api().artifact_collection("corpus", f"{path}/renamed")
    SEEN["renamed"] = {
        "versions": [a.name for a in collection.artifacts()],
        "tags": sorted(collection.tags),
        "old_name": wandb.Api().artifact_exists(f"{path}/data:v0"),
        "used": sorted(a.name for a in wandb.Api().run(f"{path}/{user}").used_artifacts()),
    }

    shelf = wandb.Api().artifact(f"{path}/shelf:best")
    shelf.unlink()
    SEEN["unlinked"] = error_of(lambda: wandb.Api().artifact(f"{path}/shelf:best")) is not None
    first = wandb.Api().artifact(f"{path}/renamed:v0")
    SEEN["delete_refused"] = error_of(first.delete) is not None
    first.delete(delete_aliases=True)
    SEEN["left"] = [a.version for a in wandb.Api().artifacts("corpus", f"{path}/renamed")]
    wandb.Api().artifact_collection("results", f"{path}/tables").delete()
    SEEN["collections_left"] = wandb.Api().artifact_collection_exists(f"{path}/tables", "results")


def main():
    os.environ.setdefault("WANDB_SILENT", "true")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            os.environ[name] = str(folder / name.lower())
            Path(os.environ[name]).mkdir()
        reference = write(folder, "referenced.txt", "referenced")
        with contextlib.redirect_stdout(sys.stderr):
            maker = log(folder, reference)
            user = use(folder / "down")
            read(maker, user, folder / "down")
            together(folder / "parts")
            edit(user)
    json.dump(SEEN, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
