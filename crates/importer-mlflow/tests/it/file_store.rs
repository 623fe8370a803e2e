use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::TryStreamExt;
use importer_core::{Kind, PointsQuery, Source, conformance};
use importer_mlflow::{FileStoreOptions, FileStoreSource};
use tracker_model::{ErrorKind, RunState, Timestamp};

use crate::{
    read::{self, Target, reasons},
    store::{EXPERIMENT, Store, run_id},
};

fn open(root: &Path) -> FileStoreSource {
    FileStoreSource::open(root, &FileStoreOptions::default()).unwrap()
}

fn reason(text: &str, count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(text.to_owned(), count)])
}

/// A store with what stores have.
fn rich() -> Store {
    let store = Store::new();
    store.write(&format!("{EXPERIMENT}/tags/mlflow.note.content"), "# note");
    let run = store.run(1);
    store.write(&format!("{run}/params/opt/lr"), "0.1");
    store.write(&format!("{run}/params/empty"), "");
    store.write(&format!("{run}/params/bytes"), "a\r\n\tü \\ ");
    store.write(&format!("{run}/tags/mlflow.parentRunId"), run_id(2));
    store.write(&format!("{run}/tags/mlflow.source.git.commit"), "abc");
    store.write(
        &format!("{run}/metrics/train/loss"),
        "1700000000000 0.5 0\n1700000001000 0.25 1\n1700000001000 0.25 1\n",
    );
    store.write(
        &format!("{run}/metrics/v"),
        "3 nan 1\n1 inf -5\n1 -inf 2\n1 1e+22 2\n0 5e-324 9223372036854775807\n-9 -0.0 -9223372036854775808\n7 2.5\n",
    );
    store.write(&format!("{run}/metrics/a-b"), "1 1 1\n");
    store.write(&format!("{run}/metrics/a/b"), "1 1 1\n");
    store.write(&format!("{run}/metrics/a.b"), "1 1 1\n");
    store.write(
        &format!("{run}/metrics/with set"),
        "1 0.5 7 my data set abc123\n2 0.75 8 other def\n",
    );
    store.write(&format!("{run}/artifacts/a/b c.txt"), "text");
    store.write(&format!("{run}/artifacts/empty"), "");
    store.write(&format!("{run}/artifacts/100% #?.bin"), [0, 255, 0]);
    store.write(
        &format!("{run}/inputs/1/meta.yaml"),
        "destination_id: d1\ndestination_type: RUN\nsource_id: d1\nsource_type: DATASET\ntags:\n  mlflow.data.context: train\n",
    );
    store.write(
        &format!("{EXPERIMENT}/datasets/d1/meta.yaml"),
        "digest: abc\nname: set\nprofile: '{\"n\": 1}'\nschema: null\nsource: '{}'\nsource_type: local\n",
    );
    let deleted = store.run_with(EXPERIMENT, 2, "5", "deleted");
    store.write(&format!("{deleted}/metrics/loss"), "1 1 1\n");
    store.run_with(EXPERIMENT, 3, "1", "active");
    store.write(
        ".trash/77/meta.yaml",
        "experiment_id: '77'\nname: gone\nlifecycle_stage: deleted\n",
    );
    store.run_with(".trash/77", 4, "4", "deleted");
    store
}

#[tokio::test]
async fn everything_arrives_as_it_is() {
    let store = rich();
    let source = open(&store.root());
    let (projects, findings) = read::projects(&source).await;
    assert_eq!(findings, []);
    assert_eq!(
        projects
            .iter()
            .map(|p| (p.id.as_str(), p.name.as_str(), p.deleted))
            .collect::<Vec<_>>(),
        [(EXPERIMENT, "first", false), ("77", "gone", true)]
    );
    assert_eq!(projects[0].tags, 1);
    let (run, record) = read::run(&source, &run_id(1)).await;
    assert_eq!(record.findings, []);
    assert_eq!(record.run.name.as_deref(), Some("run 1"));
    assert_eq!(record.run.state, RunState::Finished);
    assert_eq!(
        record.run.started_at,
        Some(Timestamp::from_millis(1_700_000_000_001))
    );
    assert_eq!(
        record.run.ended_at,
        Some(Timestamp::from_millis(1_700_000_060_000))
    );
    assert_eq!(record.run.parent.as_ref().unwrap().as_str(), run_id(2));
    assert_eq!(
        record.run.git.as_ref().unwrap().commit.as_deref(),
        Some("abc")
    );
    assert_eq!(
        serde_json::Value::Object(record.run.config.clone()),
        serde_json::json!({"bytes": "a\r\n\tü \\ ", "empty": "", "opt/lr": "0.1"})
    );
    assert_eq!(record.tags.len(), 2);
    let input = &record.run.inputs[0];
    assert_eq!(
        (input.name.as_str(), input.context.as_deref()),
        ("set", Some("train"))
    );
    assert_eq!(
        (input.profile.as_deref(), input.schema.as_deref()),
        (Some("{\"n\": 1}"), None)
    );
    assert_eq!(record.run.extras["mlflow"]["source_type"], "LOCAL");

    let history = read::history(&source, &run).await;
    assert_eq!(
        history
            .points
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["a-b", "a.b", "a/b", "train/loss", "v", "with set"]
    );
    let bits = f64::to_bits;
    assert_eq!(
        history.points["v"],
        [
            (1, 3, bits(f64::NAN)),
            (-5, 1, bits(f64::INFINITY)),
            (2, 1, bits(f64::NEG_INFINITY)),
            (2, 1, bits(1e22)),
            (i64::MAX, 0, 1),
            (i64::MIN, -9, bits(-0.0)),
            (0, 7, bits(2.5)),
        ]
    );
    assert_eq!(history.points["train/loss"].len(), 3, "repeats are kept");
    assert_eq!(
        history.points["with set"],
        [(7, 1, bits(0.5)), (8, 2, bits(0.75))],
        "the step is kept"
    );
    assert_eq!(
        reasons(&history.findings),
        reason("points Normalised metric-dataset-dropped", 2)
    );
    assert_eq!(history.summary["v"], 5e-324);
    assert_eq!(history.summary["train/loss"], 0.25);

    let (files, findings) = read::files(&source, &run).await;
    assert_eq!(findings, []);
    assert_eq!(
        files,
        BTreeMap::from([
            ("100% #?.bin".to_owned(), vec![0, 255, 0]),
            ("a/b c.txt".to_owned(), b"text".to_vec()),
            ("empty".to_owned(), Vec::new()),
        ])
    );
    let states: Vec<_> = read::runs(&source)
        .await
        .0
        .iter()
        .map(|r| (r.deleted, r.ended))
        .collect();
    assert_eq!(
        states,
        [(false, true), (true, true), (false, false), (true, true)]
    );
}

#[tokio::test]
async fn the_contract_is_kept() {
    let store = rich();
    conformance::source(Arc::new(open(&store.root()))).await;
}

#[tokio::test]
async fn a_store_of_mlflow_keeps_the_contract() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/mlruns");
    conformance::source(Arc::new(open(&examples))).await;
}

#[tokio::test]
async fn torn_things_are_told_and_the_rest_goes_on() {
    let store = rich();
    store.write("5/meta.yaml", "");
    store.write("5/0123/meta.yaml", "run_id: x\n");
    store.write(
        "6/meta.yaml",
        "experiment_id: '6'\nlifecycle_stage: active\n",
    );
    fs::create_dir_all(store.path("7")).unwrap();
    store.write(
        &format!("{EXPERIMENT}/torn/meta.yaml"),
        "artifact_uri: file:///x\nrun_id: torn\nstart_ti",
    );
    store.write(
        &format!("{EXPERIMENT}/half/meta.yaml"),
        "artifact_uri: file:///x\nrun_id: half\nstart_time: 1\n",
    );
    fs::create_dir_all(store.path(&format!("{EXPERIMENT}/nothing"))).unwrap();
    let run = store.run(9);
    store.write(&format!("{run}/metrics/cut"), "1 1 1\n2 2 2");
    store.write(
        &format!("{run}/metrics/bad"),
        "1 1 1\n\nx 1 1\n2 2 2\n3 3 3 one\n3 3 3.5\n3 3 3 name digest\n4 4 4\r\n",
    );
    store.write(&format!("{run}/metrics/noise"), "x\n".repeat(50));
    store.write(
        &format!("{run}/metrics/long"),
        [b"1 1 ".to_vec(), vec![b'1'; 3 << 20], b"\n5 5 5\n".to_vec()].concat(),
    );
    store.write(&format!("{run}/params/latin"), [0xe9]);
    store.write(&format!("{run}/tags/latin"), [0xe9]);
    store.write(
        &format!("{run}/inputs/1/meta.yaml"),
        "source_id: gone\nsource_type: DATASET\n",
    );
    store.write(
        &format!("{run}/inputs/2/meta.yaml"),
        "source_id: ../../../etc\nsource_type: DATASET\n",
    );
    store.write(&format!("{run}/inputs/3/meta.yaml"), "source_id");

    let source = open(&store.root());
    let (_, findings) = read::projects(&source).await;
    assert_eq!(
        reasons(&findings),
        BTreeMap::from([
            ("projects Unreadable its meta.yaml cannot be read: it is missing".to_owned(), 1),
            ("projects Unreadable its meta.yaml cannot be read: it is empty".to_owned(), 1),
            ("projects Unreadable its meta.yaml cannot be read: it is torn: the field name is missing".to_owned(), 1),
            ("runs Unreadable the meta.yaml of its experiment cannot be read".to_owned(), 1),
        ])
    );
    let (_, findings) = read::runs(&source).await;
    let found = reasons(&findings);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .keys()
            .all(|f| f.starts_with("runs Unreadable its meta.yaml cannot be read: ")),
        "{found:?}"
    );
    assert!(findings.iter().any(|f| f.place.ends_with("half") && f.reason.ends_with("the field status is missing")));

    let (run, record) = read::run(&source, &run_id(9)).await;
    assert_eq!(
        reasons(&record.findings),
        BTreeMap::from([
            ("inputs Unreadable its meta.yaml cannot be read: it is not YAML as MLflow writes it".to_owned(), 1),
            ("inputs Unreadable the dataset cannot be read: it is missing".to_owned(), 1),
            ("inputs Unreadable the dataset cannot be read: its id is not the name of a folder".to_owned(), 1),
            ("params Unreadable its value is not UTF-8".to_owned(), 1),
            ("tags Unreadable its value is not UTF-8".to_owned(), 1),
        ])
    );
    let history = read::history(&source, &run).await;
    let points = |key: &str| history.points[key].iter().map(|p| p.0).collect::<Vec<_>>();
    assert_eq!(points("cut"), [1]);
    assert_eq!(points("bad"), [1, 2, 3, 4]);
    assert_eq!(points("long"), [5]);
    let place = |end: &str| history.findings.iter().any(|f| f.place.ends_with(end));
    assert!(
        place("metrics/cut:2")
            && place("metrics/bad:3")
            && place("metrics/bad:5")
            && place("metrics/bad:6")
    );
    assert_eq!(
        reasons(&history.findings),
        BTreeMap::from([
            ("points Normalised metric-dataset-dropped".to_owned(), 1),
            (
                "points Unreadable the last line is not complete: it lacks its line end".to_owned(),
                1
            ),
            (
                "points Unreadable the line is not TIME VALUE STEP".to_owned(),
                53
            ),
            (
                "points Unreadable the line is too long to be a point".to_owned(),
                1
            ),
        ])
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn values_that_are_too_large_are_refused() {
    let store = Store::new();
    let run = store.run(1);
    let path = store.write(&format!("{run}/params/huge"), "");
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(10 << 30)
        .unwrap();
    store.write(&format!("{run}/params/large"), "x".repeat(3 << 20));
    let meta = store.write(&format!("{EXPERIMENT}/{}/meta.yaml", run_id(2)), "");
    fs::File::options()
        .write(true)
        .open(meta)
        .unwrap()
        .set_len(10 << 30)
        .unwrap();
    let source = open(&store.root());
    let (_, record) = read::run(&source, &run_id(1)).await;
    assert_eq!(record.run.config["large"].as_str().unwrap().len(), 3 << 20);
    assert_eq!(
        reasons(&record.findings),
        reason(
            "params Unreadable its value cannot be read: it is larger than 16 MiB",
            1
        )
    );
    let (runs, findings) = read::runs(&source).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(
        reasons(&findings),
        reason(
            "runs Unreadable its meta.yaml cannot be read: it is larger than 32 MiB",
            1
        )
    );
}

#[tokio::test]
async fn a_store_that_moved_has_its_artifacts_beside_its_runs() {
    let store = rich();
    let (run, _) = read::run(&open(&store.root()), &run_id(1)).await;
    assert_eq!(
        read::files(&open(&store.root()), &run).await.0.len(),
        3,
        "though its address names another place"
    );
    let elsewhere = store.run(5);
    let meta = fs::read_to_string(store.path(&format!("{elsewhere}/meta.yaml"))).unwrap();
    let place = store.base().join(format!("art/{}/artifacts", run_id(5)));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("far.txt"), "far").unwrap();
    let uri = |uri: &str| {
        let old = format!(
            "file:///home/ada/mlruns/{EXPERIMENT}/{}/artifacts",
            run_id(5)
        );
        store.write(&format!("{elsewhere}/meta.yaml"), meta.replace(&old, uri));
    };
    let read = || async {
        let source = open(&store.root());
        let (run, _) = read::run(&source, &run_id(5)).await;
        let (files, findings) = read::files(&source, &run).await;
        (
            files.into_keys().collect::<Vec<_>>(),
            reasons(&findings).into_keys().collect::<Vec<_>>(),
        )
    };
    uri(&format!("file://{}", place.display()));
    assert_eq!(read().await, (vec!["far.txt".to_owned()], vec![]));
    uri("/etc");
    let (files, found) = read().await;
    assert!(
        files.is_empty() && found[0].contains("is not one that MLflow makes"),
        "{found:?}"
    );
    uri(&format!("s3://bucket/{}/artifacts", run_id(5)));
    let (files, found) = read().await;
    assert!(
        files.is_empty() && found[0].contains("cannot be read from here"),
        "{found:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_pipes_neither_escape_nor_hang() {
    use std::os::unix::fs::symlink;
    let store = rich();
    let run = store.run(6);
    store.write(&format!("{run}/artifacts/real/file"), "x");
    let at = |path: &str| store.path(&format!("{run}/{path}"));
    symlink("/etc/passwd", at("artifacts/passwd")).unwrap();
    symlink("/etc", at("artifacts/etc")).unwrap();
    symlink("..", at("artifacts/real/up")).unwrap();
    symlink("real", at("artifacts/alias")).unwrap();
    symlink("real/file", at("artifacts/link")).unwrap();
    symlink("nowhere", at("artifacts/dangling")).unwrap();
    fs::create_dir_all(at("metrics")).unwrap();
    fs::create_dir_all(at("params")).unwrap();
    symlink("..", at("metrics/loop")).unwrap();
    symlink("/etc/passwd", at("params/passwd")).unwrap();
    symlink("/etc", store.path("8")).unwrap();
    symlink(
        store.path(EXPERIMENT),
        store.path(&format!("{EXPERIMENT}/self")),
    )
    .unwrap();
    for pipe in ["artifacts/pipe", "metrics/pipe", "params/pipe"] {
        assert!(
            std::process::Command::new("mkfifo")
                .arg(at(pipe))
                .status()
                .unwrap()
                .success()
        );
    }
    let source = open(&store.root());
    let (_, findings) = read::projects(&source).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let (_, findings) = read::runs(&source).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let (run, record) = read::run(&source, &run_id(6)).await;
    assert_eq!(record.findings.len(), 2, "{:?}", record.findings);
    assert_eq!(read::history(&source, &run).await.findings.len(), 2);
    let (files, findings) = read::files(&source, &run).await;
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["alias/file", "link", "real/file"]
    );
    let found = reasons(&findings);
    assert_eq!(found.values().sum::<u64>(), 6, "{found:?}");
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn an_experiment_that_is_a_link_into_the_store_is_followed() {
    #[cfg(unix)]
    {
        let store = rich();
        fs::rename(store.path(EXPERIMENT), store.path(".kept")).unwrap();
        std::os::unix::fs::symlink(".kept", store.path(EXPERIMENT)).unwrap();
        let source = open(&store.root());
        assert!(
            read::projects(&source)
                .await
                .0
                .iter()
                .any(|p| p.id == EXPERIMENT)
        );
        let (_, record) = read::run(&source, &run_id(1)).await;
        assert_eq!(record.run.config.len(), 3);
    }
}

#[tokio::test]
async fn any_change_changes_the_fingerprint_and_nothing_else_does() {
    let store = rich();
    let source = open(&store.root());
    let prints = || async {
        let runs = read::runs(&source).await.0;
        runs.into_iter()
            .map(|r| (r.id, r.fingerprint))
            .collect::<BTreeMap<_, _>>()
    };
    let mut before = prints().await;
    assert_eq!(before, prints().await);
    let run = format!("{EXPERIMENT}/{}", run_id(1));
    let changes: [(&str, &str); 7] = [
        (
            "metrics/train/loss",
            "1700000000000 0.5 0\n1700000001000 0.25 1\n1700000001000 0.75 1\n",
        ),
        ("metrics/new", "1 1 1\n"),
        ("params/opt/lr", "0.2"),
        ("tags/new", ""),
        ("artifacts/a/b c.txt", "texT"),
        ("artifacts/new", ""),
        (
            "inputs/2/meta.yaml",
            "source_id: d1\nsource_type: DATASET\n",
        ),
    ];
    for (path, content) in changes {
        // As a program would: now.
        let path = store.path(&format!("{run}/{path}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let after = prints().await;
        for (id, print) in &after {
            assert_eq!(
                before[id] == *print,
                *id != run_id(1),
                "{} of {id}",
                path.display()
            );
        }
        assert_eq!(after, prints().await, "{}", path.display());
        before = after;
    }
}

#[tokio::test]
async fn reading_changes_nothing() {
    let store = rich();
    let look = || {
        let mut out = BTreeMap::new();
        let mut folders = vec![store.base().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let modified = fs::metadata(&path).unwrap().modified().unwrap();
                    out.insert(path.clone(), (modified, fs::read(&path).unwrap()));
                }
            }
        }
        out
    };
    let before = look();
    conformance::source(Arc::new(open(&store.root()))).await;
    assert_eq!(before, look());
}

#[tokio::test]
async fn folders_that_are_no_stores_get_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| FileStoreSource::open(path, &FileStoreOptions::default()).unwrap_err();
    let error = open(&dir.path().join("gone"));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = open(dir.path());
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.message().ends_with("is not an MLflow file store") && error.hint().is_some(),
        "{error:?}"
    );
    fs::write(dir.path().join("mlflow.db"), "").unwrap();
    assert!(open(dir.path()).hint().unwrap().contains("sqlite:///"));
    assert_eq!(
        open(&dir.path().join("mlflow.db")).kind(),
        ErrorKind::InvalidInput
    );
    let store = rich();
    assert!(
        open(store.base())
            .hint()
            .unwrap()
            .ends_with("mlruns is one")
    );
}

#[tokio::test]
async fn old_stores() {
    let store = Store::new();
    let id = run_id(1);
    store.write(
        &format!("{EXPERIMENT}/{id}/meta.yaml"),
        format!(
            "artifact_uri: ./mlruns/{EXPERIMENT}/{id}/artifacts\nend_time: null\nexperiment_id: {EXPERIMENT}\nname: ''\n\
             run_uuid: {id}\nsource_type: 1000\nstart_time: 0\nstatus: 2\nuser_id: ''\n"
        ),
    );
    store.write(
        &format!("{EXPERIMENT}/{id}/tags/mlflow.runName"),
        "from the tag",
    );
    store.write(&format!("{EXPERIMENT}/{id}/tags/mlflow.user"), "bob");
    store.write(&format!("{EXPERIMENT}/{id}/artifacts/f"), "f");
    store.write(&format!("{EXPERIMENT}/{id}/metrics/m"), "1 1\n2 2\n");
    let source = open(&store.root());
    let (run, record) = read::run(&source, &id).await;
    assert_eq!(run.name.as_deref(), Some("from the tag"));
    assert_eq!(record.run.name.as_deref(), Some("from the tag"));
    assert_eq!(record.run.user.as_deref(), Some("bob"));
    assert_eq!(record.run.state, RunState::Pending);
    assert_eq!(record.run.started_at, Some(Timestamp::from_millis(0)));
    assert_eq!(record.run.extras["mlflow"]["source_type"], "UNKNOWN");
    assert_eq!(read::files(&source, &run).await.0.len(), 1);
    assert_eq!(
        read::history(&source, &run).await.points["m"]
            .iter()
            .map(|p| p.0)
            .collect::<Vec<_>>(),
        [0, 0]
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn copied_folders_are_runs_of_their_own() {
    let store = rich();
    for (from, to) in [
        (
            format!("{EXPERIMENT}/{}", run_id(3)),
            format!("{EXPERIMENT}/copy of 3"),
        ),
        ("77".into(), "78".into()),
    ] {
        let trash = if from == "77" { ".trash/" } else { "" };
        let meta = fs::read_to_string(store.path(&format!("{trash}{from}/meta.yaml"))).unwrap();
        store.write(&format!("{trash}{to}/meta.yaml"), meta);
    }
    let source = open(&store.root());
    let (projects, findings) = read::projects(&source).await;
    assert!(projects.iter().any(|p| p.id == "78"));
    assert_eq!(findings, []);
    let (_, record) = read::run(&source, "copy of 3").await;
    assert_eq!(
        reasons(&record.findings),
        reason("runs Normalised run-id-from-folder", 1)
    );
    assert_eq!(record.run.path.run.as_str(), "copy of 3");
    let meta = format!("{EXPERIMENT}/copy of 3/meta.yaml");
    let odd = fs::read_to_string(store.path(&meta))
        .unwrap()
        .replace("\nstatus: ", "\nstatus: 4");
    store.write(&meta, odd);
    let source = open(&store.root());
    let (_, record) = read::run(&source, "copy of 3").await;
    let mut both = reason("runs Normalised run-id-from-folder", 1);
    both.extend(reason("runs Normalised run-status-unknown", 1));
    assert_eq!(reasons(&record.findings), both, "every rule is named");
    conformance::source(Arc::new(source)).await;
}

/// A copy is a run of the project that it lies in, and takes nothing from the run that it was made
/// of.
#[tokio::test]
async fn a_run_that_was_copied_into_another_experiment_arrives_twice() {
    let store = Store::new();
    // Both of them lie before the original: its own word decides, then their order.
    for (id, name) in [("1", "by hand"), ("2", "copied")] {
        store.experiment(id, name);
    }
    let copied = store.run(1);
    let edited = store.run(2);
    for (run, point) in [(&copied, "1000 0.5 0\n"), (&edited, "2000 0.25 0\n")] {
        store.write(&format!("{run}/metrics/loss"), point);
    }
    store.run_with("1", 2, "3", "active");
    store.write(
        &format!("1/{}/metrics/loss", run_id(2)),
        "2000 0.125 0\n2001 0.125 1\n",
    );
    for file in ["meta.yaml", "metrics/loss"] {
        let content = fs::read(store.path(&format!("{copied}/{file}"))).unwrap();
        store.write(&format!("2/{}/{file}", run_id(1)), content);
    }
    let source: Arc<dyn Source> = Arc::new(open(&store.root()));
    let ids: BTreeSet<_> = read::runs(&*source)
        .await
        .0
        .into_iter()
        .map(|run| (run.project.id.clone(), run.id))
        .collect();
    let run = |experiment: &str, id: String| (experiment.to_owned(), id);
    assert_eq!(
        ids,
        BTreeSet::from([
            run("1", run_id(2)),
            run("2", format!("{}-2", run_id(1))),
            run(EXPERIMENT, run_id(1)),
            run(EXPERIMENT, format!("{}-{EXPERIMENT}", run_id(2))),
        ])
    );

    let target = Target::default();
    let receipt = target.import(&source).await;
    assert_eq!(receipt.failures, []);
    let runs = receipt.totals.get(Kind::Runs);
    assert_eq!((runs.source(), runs.identical, runs.normalised), (4, 2, 2));
    assert_eq!(receipt.totals.get(Kind::Points).identical, 5);
    assert_eq!(receipt.rules[0].name, "run-id-of-copy");
    let targets: BTreeSet<_> = receipt.runs.iter().map(|r| r.target.to_string()).collect();
    assert_eq!(targets.len(), 4, "{targets:?}");
    assert!(targets.contains(&format!("local/copied/{}-2", run_id(1))));
    let again = target.import(&source).await;
    assert_eq!(again.totals.get(Kind::Runs).skipped, 4);

    // The listing is not needed to find a copy.
    let mut lone = read::runs(&*source).await.0;
    for run in &mut lone {
        run.detail = None;
        let record = source.run(run).await.unwrap();
        assert_eq!(record.run.path.run.as_str(), run.id);
    }
    conformance::source(source).await;
}

#[tokio::test]
async fn a_run_that_goes_away_fails() {
    let store = rich();
    let source = open(&store.root());
    let (run, _) = read::run(&source, &run_id(1)).await;
    fs::remove_dir_all(store.path(&format!("{EXPERIMENT}/{}", run_id(1)))).unwrap();
    let error = source.run(&run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let points: Result<Vec<_>, _> = source.points(&run, PointsQuery::new()).try_collect().await;
    assert_eq!(points.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn many_points_come_in_batches() {
    let store = Store::new();
    let run = store.run(1);
    let lines: String = (0..200_000)
        .map(|i| format!("{} {}.5 {i}\n", 1_700_000_000_000i64 + i, i))
        .collect();
    store.write(&format!("{run}/metrics/m"), lines);
    let source = open(&store.root());
    let (run, _) = read::run(&source, &run_id(1)).await;
    let history = read::history(&source, &run).await;
    assert!(
        history.points["m"]
            .iter()
            .enumerate()
            .all(|(i, p)| p.0 == i as i64 && p.2 == (i as f64 + 0.5).to_bits())
    );
    assert_eq!(history.points["m"].len(), 200_000);
    assert_eq!(history.summary["m"], 199_999.5);
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn many_lines_that_cannot_be_read_are_counted_by_reason() {
    let store = Store::new();
    let run = store.run(1);
    let mut lines = "1700000000000 1.5 0\n".to_owned();
    lines.push_str(&"no point\n".repeat(30));
    lines.push_str("1700000000001 2.5");
    store.write(&format!("{run}/metrics/m"), lines);
    let source = open(&store.root());
    let (run, _) = read::run(&source, &run_id(1)).await;
    let history = read::history(&source, &run).await;
    assert_eq!(history.points["m"].len(), 1);
    let mut expected = reason("points Unreadable the line is not TIME VALUE STEP", 30);
    expected.extend(reason(
        "points Unreadable the last line is not complete: it lacks its line end",
        1,
    ));
    assert_eq!(reasons(&history.findings), expected);
    let places: Vec<_> = history.findings.iter().map(|f| f.place.as_str()).collect();
    assert_eq!(
        places.len(),
        22,
        "20 lines, the others, the last: {places:?}"
    );
    assert!(places.iter().any(|p| p.ends_with("m: further lines")));
    assert!(places.iter().any(|p| p.ends_with("m:32")));
}
