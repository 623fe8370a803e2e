//! A file store that MLflow wrote: see `data/make_mlruns.py`.

use std::{path::PathBuf, sync::Arc};

use futures::TryStreamExt;
use importer_core::{EntryContent, Kind, Outcome, Selection, Source, SourceArtifact, conformance};
use importer_mlflow::{FileStoreOptions, FileStoreSource};
use serde_json::{Value as Json, json};
use tracker_model::{Change, RunState, UseRole};

use crate::read::{self, reasons};

fn open() -> FileStoreSource {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlruns");
    FileStoreSource::open(root, &FileStoreOptions::default()).unwrap()
}

/// The ids that MLflow gave, by name.
async fn run_named(source: &dyn Source, name: &str) -> String {
    read::runs(source)
        .await
        .0
        .into_iter()
        .find(|r| r.name.as_deref() == Some(name))
        .unwrap()
        .id
}

const PARENT: &str = "parent: 'quoted' #1";

#[tokio::test]
async fn runs_are_what_was_logged() {
    let source = open();
    let (projects, findings) = read::projects(&source).await;
    assert!(findings.is_empty());
    let vision = projects.iter().find(|p| p.name == "vision ü").unwrap();
    assert_eq!(
        vision.patch.description,
        Change::Set("a note\nof two lines".into())
    );
    assert_eq!(vision.tags, 2);
    let gone = projects.iter().find(|p| p.name == "gone").unwrap();
    assert!(gone.deleted);

    let parent = run_named(&source, PARENT).await;
    let (run, record) = read::run(&source, &parent).await;
    assert!(record.findings.is_empty());
    assert_eq!(
        Json::Object(record.run.config),
        json!({"opt/lr": "0.1", "text": "a\r\nb\tü "})
    );
    assert_eq!(record.tags["emoji"], "🙂 x");
    assert_eq!(record.run.program.as_deref(), Some("train.py"));
    assert_eq!(record.run.inputs[0].digest, "abc123");
    assert_eq!(record.run.extras["mlflow"]["model_outputs"][0]["step"], 7);
    let history = read::history(&source, &run).await;
    let loss: Vec<f64> = history.points["train/loss"]
        .iter()
        .map(|p| f64::from_bits(p.2))
        .collect();
    assert!(loss[1].is_nan());
    assert_eq!(
        loss[2..],
        [f64::INFINITY, f64::NEG_INFINITY, 0.0, 5e-324, 1e22, 0.1]
    );
    assert!(loss[4].is_sign_negative());
    assert_eq!(
        history.points["acc"],
        [(7, 1_700_000_000_100, 0.75f64.to_bits())]
    );
    assert_eq!(
        Json::Object(history.summary),
        json!({"acc": 0.75, "back": 1.0, "train/loss": 0.1})
    );
    let (files, findings) = read::files(&source, &run).await;
    assert!(findings.is_empty());
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["dir/deep er/a.txt", "empty.bin"]
    );

    let child = run_named(&source, "1e5").await;
    let (_, record) = read::run(&source, &child).await;
    assert_eq!(record.run.parent.unwrap().as_str(), parent);
    assert_eq!(record.run.state, RunState::Killed);
    assert!(
        record.run.extras["mlflow"]["model_inputs"][0]["model_id"]
            .as_str()
            .unwrap()
            .starts_with("m-")
    );
    assert!(
        read::runs(&source)
            .await
            .0
            .iter()
            .filter(|r| r.deleted)
            .count()
            == 2
    );
}

async fn listed(source: &dyn Source, selection: &Selection) -> Vec<SourceArtifact> {
    let projects = read::projects(source).await.0;
    let (all, findings) = read::split(
        source
            .artifacts(&projects, selection)
            .try_collect()
            .await
            .unwrap(),
    );
    assert!(findings.is_empty(), "{findings:?}");
    all
}

fn key(artifact: &SourceArtifact) -> String {
    artifact
        .version
        .as_ref()
        .and_then(|v| v.source_key.clone())
        .unwrap_or_default()
}

#[tokio::test]
async fn models_and_versions_are_what_was_logged() {
    let source = open();
    let (parent, child) = (
        run_named(&source, PARENT).await,
        run_named(&source, "1e5").await,
    );
    let all = listed(&source, &Selection::new()).await;
    let model = all
        .iter()
        .find(|a| key(a).starts_with("logged-model:"))
        .unwrap();
    let version = model.version.as_ref().unwrap();
    let facts = &version.metadata["mlflow"];
    let id = facts["model_id"].as_str().unwrap();
    assert_eq!(
        (model.collection.as_str(), version.aliases[0].as_str()),
        ("net", id)
    );
    assert_eq!(
        json!([facts["status"], facts["params"], facts["model_type"]]),
        json!(["READY", {"depth": "3"}, "classifier"])
    );
    assert_eq!(
        facts["metrics"],
        json!([{
            "key": "acc", "value": 0.75, "timestamp": 1_700_000_000_100u64, "step": 7, "run_id": parent,
            "dataset_name": "digits", "dataset_digest": "abc123",
        }])
    );
    assert_eq!(model.logged_by.as_deref(), Some(parent.as_str()));
    let uses: Vec<_> = model
        .uses
        .iter()
        .map(|u| (u.run.as_str(), u.role))
        .collect();
    assert!(
        uses.contains(&(parent.as_str(), UseRole::Logged))
            && uses.contains(&(child.as_str(), UseRole::Used))
    );
    let (files, findings) = read::entries(&source, model).await;
    assert!(findings.is_empty());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["MLmodel", "data/w.bin"]);
    assert_eq!(files["data/w.bin"], (0..20).collect::<Vec<u8>>());

    let registry: Vec<_> = all.iter().filter(|a| a.project.is_none()).collect();
    assert_eq!(
        registry
            .iter()
            .map(|a| (a.collection.as_str(), key(a)))
            .collect::<Vec<_>>(),
        [
            ("empty", String::new()),
            ("net ü", "model-version:net ü/1".to_owned()),
            ("net ü", "model-version:net ü/3".to_owned()),
        ]
    );
    let (first, third) = (registry[1], registry[2]);
    let draft = first.version.as_ref().unwrap();
    assert_eq!(
        (draft.index, draft.aliases.as_slice()),
        (Some(1), &["champion".to_owned()][..])
    );
    assert_eq!(draft.description.as_deref(), Some("first"));
    assert_eq!(draft.metadata["mlflow"]["tags"], json!({"vt": "x"}));
    assert_eq!(first.patch.description, Change::Set("the net".into()));
    assert_eq!(
        read::entries(&source, first).await.0,
        files,
        "those of the logged model"
    );
    assert_eq!(
        third.version.as_ref().unwrap().metadata["mlflow"]["current_stage"],
        "Staging"
    );
    let (entries, _) = read::split(source.entries(third).try_collect().await.unwrap());
    let EntryContent::RunFile { run, name, .. } = &entries[0].content else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (run.as_str(), name.as_str(), entries[0].path.as_str()),
        (parent.as_str(), "dir/deep er/a.txt", "deep er/a.txt")
    );
    let deleted = listed(&source, &read::everything()).await;
    assert!(deleted.iter().any(|a| key(a) == "model-version:net ü/2"));
}

#[tokio::test]
async fn a_deleted_version_gives_no_other_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlruns");
    copy(&root, dir.path());
    let version = dir.path().join("models/net ü/version-9");
    std::fs::create_dir(&version).unwrap();
    let meta =
        "name: net ü\nversion: 9\ncurrent_stage: None\nsource: models:/net ü/2\nstatus: READY\n";
    std::fs::write(version.join("meta.yaml"), meta).unwrap();
    let source = FileStoreSource::open(dir.path(), &FileStoreOptions::default()).unwrap();
    let all = listed(&source, &Selection::new()).await;
    assert!(!all.iter().any(|a| key(a) == "model-version:net ü/2"));
    let version = all
        .iter()
        .find(|a| key(a) == "model-version:net ü/9")
        .unwrap();
    let (entries, _) = read::split(source.entries(version).try_collect().await.unwrap());
    assert!(
        matches!(&entries[0].content, EntryContent::Reference(at) if at == "models:/net ü/2"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn traces_are_what_a_server_would_give() {
    let source = open();
    let all = listed(&source, &Selection::new()).await;
    let traces = all.iter().find(|a| a.collection == "traces").unwrap();
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        2
    );
    let (entries, findings) = read::entries(&source, traces).await;
    assert!(findings.is_empty());
    let text = String::from_utf8(entries["traces.jsonl"].clone()).unwrap();
    let lines: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names = |line: &Json| {
        line["spans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines.iter().map(names).collect::<Vec<_>>(),
        [["root-0", "child"], ["root-1", "child"]]
    );
    let info = &lines[1]["trace_info"];
    assert_eq!(info["state"], "OK");
    assert_eq!(info["tags"]["mlflow.traceName"], "root-1");
    assert_eq!(info["trace_metadata"]["mlflow.user"], "ada");
    assert!(info["request_time"].as_str().unwrap().ends_with('Z'));
    let outputs = lines[1]["spans"][0]["attributes"].as_array().unwrap();
    let outputs = outputs
        .iter()
        .find(|a| a["key"] == "mlflow.spanOutputs")
        .unwrap();
    assert_eq!(
        outputs["value"]["kvlist_value"]["values"],
        json!([
            {"key": "a", "value": {"int_value": 1}},
            {"key": "list", "value": {"array_value": {"values": [
                {"int_value": 1}, {"double_value": 2.5}, {}, {"bool_value": true},
            ]}}},
        ])
    );
}

#[tokio::test]
async fn traces_arrive_without_spans_that_are_gone_or_torn() {
    let dir = tempfile::tempdir().unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlruns");
    copy(&root, dir.path());
    let mut files = Vec::new();
    find(dir.path(), "traces.json", &mut files);
    files.sort();
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[1], "{\"spans\": [{").unwrap();
    let source = FileStoreSource::open(dir.path(), &FileStoreOptions::default()).unwrap();
    let projects = read::projects(&source).await.0;
    let items: Vec<_> = source
        .artifacts(&projects, &Selection::new())
        .try_collect()
        .await
        .unwrap();
    let (all, findings) = read::split(items);
    assert_eq!(findings, [], "the source has no spans that could be lost");
    let traces = all.iter().find(|a| a.collection == "traces").unwrap();
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        2
    );
    let (entries, findings) = read::entries(&source, traces).await;
    assert_eq!(
        reasons(&findings).into_keys().collect::<Vec<_>>(),
        ["traces Normalised trace-without-torn-parts"]
    );
    assert_eq!(
        entries["traces.jsonl"]
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        2,
        "what is left of both is kept"
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn spans_out_of_reach_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlruns");
    copy(&root, dir.path());
    let mut files = Vec::new();
    find(dir.path(), "traces.json", &mut files);
    let artifacts = files[0].parent().unwrap();
    let trace = artifacts.parent().unwrap();
    let id = trace.file_name().unwrap().to_str().unwrap();
    let uri = format!("s3://bucket/traces/{id}/artifacts");
    std::fs::remove_dir_all(artifacts).unwrap();
    std::fs::write(trace.join("tags/mlflow.artifactLocation"), uri).unwrap();
    let other = files[1].parent().unwrap().parent().unwrap();
    std::fs::create_dir_all(other.join("assessments")).unwrap();
    std::fs::write(other.join("assessments/a-1"), b"\xff").unwrap();
    let source = FileStoreSource::open(dir.path(), &FileStoreOptions::default()).unwrap();
    let projects = read::projects(&source).await.0;
    let items: Vec<_> = source
        .artifacts(&projects, &Selection::new())
        .try_collect()
        .await
        .unwrap();
    let (all, findings) = read::split(items);
    assert_eq!(findings, []);
    let traces = all.iter().find(|a| a.collection == "traces").unwrap();
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        2
    );
    let (entries, findings) = read::entries(&source, traces).await;
    let (torn, findings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|f| f.kind == Kind::Traces);
    assert_eq!(
        reasons(&torn).into_keys().collect::<Vec<_>>(),
        ["traces Normalised trace-without-torn-parts"]
    );
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (finding.kind, finding.outcome, finding.place.clone()),
        (
            Kind::Entries,
            Outcome::Unreadable,
            format!("the spans of trace {id}")
        )
    );
    let lines = entries["traces.jsonl"].iter().filter(|b| **b == b'\n');
    assert_eq!(lines.count(), 2);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_owned());
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn find(folder: &std::path::Path, name: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, name, out);
        } else if path.file_name().unwrap() == name {
            out.push(path);
        }
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    conformance::source(Arc::new(open())).await;
}
