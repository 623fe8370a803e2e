use std::{collections::BTreeMap, sync::Arc};

use futures::TryStreamExt;
use importer_core::{EntryContent, Kind, Outcome, Source, conformance};
use importer_mlflow::{MlflowOptions, SqliteSource};
use serde_json::{Value as Json, json};
use tracker_model::UseRole;

use super::database::{Database, Version, run_id};
use crate::read::{artifact, artifacts, entries, files, projects, run, split};

#[tokio::test]
async fn files_of_runs_wherever_their_addresses_lead() {
    let db = Database::new(Version::New);
    let proxied = db.finished(1);
    db.write(
        &format!("mlartifacts/1/{proxied}/artifacts/a b/ü %20.txt"),
        "x",
    );
    db.write(&format!("mlartifacts/1/{proxied}/artifacts/empty"), "");
    let set = |n: u32, uri: String| {
        let id = db.finished(n);
        db.c.execute(
            "UPDATE runs SET artifact_uri = ?1 WHERE run_uuid = ?2",
            [&uri, &id],
        )
        .unwrap();
    };
    set(2, format!("./mlruns/1/{}/artifacts", run_id(2)));
    db.write(&format!("mlruns/1/{}/artifacts/r.txt", run_id(2)), "rel");
    set(
        3,
        format!("{}/abs/1/{}/artifacts", db.base().display(), run_id(3)),
    );
    db.write(&format!("abs/1/{}/artifacts/a.txt", run_id(3)), "abs");
    set(4, format!("s3://bucket/1/{}/artifacts", run_id(4)));
    set(5, format!("/gone/1/{}/artifacts", run_id(5)));
    set(6, "/etc".to_owned());
    set(7, format!("mlflow-artifacts:/1/{}/artifacts", run_id(7)));
    db.run("INSERT INTO runs (run_uuid, status, lifecycle_stage, experiment_id) VALUES ('nowhere', 'FINISHED', 'active', 1)");
    let source = db.open();
    let of = async |id: &str| {
        let (one, _) = run(&source, id).await;
        files(&source, &one).await
    };
    let (found, findings) = of(&proxied).await;
    assert_eq!(
        found,
        BTreeMap::from([
            ("a b/ü %20.txt".to_owned(), b"x".to_vec()),
            ("empty".to_owned(), Vec::new())
        ])
    );
    assert_eq!(findings, []);
    assert_eq!(of(&run_id(2)).await.0["r.txt"], b"rel");
    assert_eq!(of(&run_id(3)).await.0["a.txt"], b"abs");
    for (id, word) in [
        (4, "tracking server"),
        (5, "--artifacts-root"),
        (6, "is not followed"),
    ] {
        let (found, findings) = of(&run_id(id)).await;
        assert!(found.is_empty());
        let [finding] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert_eq!(
            (finding.kind, finding.outcome),
            (Kind::Files, Outcome::Unreadable)
        );
        assert!(finding.reason.contains(word), "{finding:?}");
    }
    for id in [run_id(7), "nowhere".to_owned()] {
        assert_eq!(of(&id).await, (BTreeMap::new(), Vec::new()), "{id}");
    }
    conformance::source(Arc::new(source)).await;

    let other = Database::new(Version::New);
    let id = other.finished(1);
    let source = SqliteSource::open(other.file(), &MlflowOptions::new()).unwrap();
    let (one, _) = run(&source, &id).await;
    let (_, findings) = files(&source, &one).await;
    assert!(findings[0].reason.contains("--artifacts-root"));
    let root = db.base().join("mlartifacts");
    let source = SqliteSource::open(
        other.file(),
        &MlflowOptions::new().with_artifacts_root(root),
    )
    .unwrap();
    let (one, _) = run(&source, &id).await;
    assert_eq!(files(&source, &one).await.0.len(), 2);
}

fn with_models() -> Database {
    let db = Database::new(Version::New);
    let (one, two) = (db.finished(1), db.finished(2));
    let uri = "mlflow-artifacts:/1/models/m-1/artifacts";
    db.run(&format!(
        "INSERT INTO logged_models VALUES ('m-1', 1, 'net', '{uri}', 1000, 2000, 2, 'active', 'torch', '{one}', NULL);
         INSERT INTO logged_models VALUES ('m-0', 1, 'older', 's3://b/1/models/m-0/artifacts', 500, 500, 1, 'active', NULL, NULL, NULL);
         INSERT INTO logged_models VALUES ('m-2', 1, 'gone', '{uri}', 1500, 2000, 2, 'deleted', 'torch', '{one}', NULL);
         INSERT INTO logged_model_params VALUES ('m-1', 1, 'depth', '3');
         INSERT INTO logged_model_tags VALUES ('m-1', 1, 'stage', 'ü');
         INSERT INTO logged_model_metrics VALUES ('m-1', 'acc', 10, 7, 0.5, 1, '{one}', NULL, 'train', 'd1');
         INSERT INTO logged_model_metrics VALUES ('m-1', 'acc', 11, 8, NULL, 1, '{one}', NULL, NULL, NULL);
         INSERT INTO inputs VALUES ('o', 'RUN_OUTPUT', '{one}', 'MODEL_OUTPUT', 'm-1', 7);
         INSERT INTO inputs VALUES ('i', 'RUN_INPUT', '{two}', 'MODEL_INPUT', 'm-1', 0);
         INSERT INTO registered_models VALUES ('reg ü', 1, 2, 'what', 'default');
         INSERT INTO registered_models VALUES ('none', 1, 2, NULL, 'default');
         INSERT INTO registered_model_tags VALUES ('t', 'v', 'reg ü', 'default');
         INSERT INTO registered_model_aliases VALUES ('champion', 3, 'reg ü', 'default');
         INSERT INTO model_versions VALUES ('reg ü', 1, 10, 11, 'v1', NULL, 'Production', 'models:/m-1', '{one}', 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_versions VALUES ('reg ü', 2, 10, 11, NULL, NULL, 'Deleted_Internal', 'REDACTED', NULL, 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_versions VALUES ('reg ü', 3, 10, 11, NULL, NULL, 'None', 'runs:/{one}/model', '{one}', 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_versions VALUES ('reg ü', 4, 10, 11, NULL, NULL, 'None', 's3://bucket/x', NULL, 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_versions VALUES ('reg ü', 5, 10, 11, NULL, NULL, 'None', 'models:/reg ü/1', NULL, 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_versions VALUES ('reg ü', 6, 10, 11, NULL, NULL, 'None', 'models:/reg ü/2', NULL, 'READY', NULL, NULL, NULL, 'default');
         INSERT INTO model_version_tags VALUES ('vt', '1', 'reg ü', 1, 'default');"
    ));
    db.write("mlartifacts/1/models/m-1/artifacts/MLmodel", "flavour");
    db.write(
        &format!("mlartifacts/1/{one}/artifacts/model/data/w.bin"),
        "weights",
    );
    db
}

#[tokio::test]
async fn logged_models_with_their_files_and_runs() {
    let db = with_models();
    let source = db.open();
    let model = artifact(&source, "logged-model:m-1").await;
    assert_eq!((model.collection.as_str(), model.immutable), ("net", true));
    assert_eq!(model.logged_by.as_deref(), Some(run_id(1).as_str()));
    let facts = &model.version.as_ref().unwrap().metadata["mlflow"];
    assert_eq!(facts["status"], "READY");
    assert_eq!(
        (&facts["params"], &facts["tags"]),
        (&json!({"depth": "3"}), &json!({"stage": "ü"}))
    );
    assert_eq!(facts["metrics"].as_array().unwrap().len(), 2);
    assert_eq!(facts["metrics"][1]["value"], "NaN");
    let uses: Vec<_> = model
        .uses
        .iter()
        .map(|u| (u.run.as_str(), u.role, u.step))
        .collect();
    assert_eq!(
        uses,
        [
            (run_id(1).as_str(), UseRole::Logged, Some(7)),
            (run_id(2).as_str(), UseRole::Used, None)
        ]
    );
    let (files, findings) = entries(&source, &model).await;
    assert_eq!(
        (files["MLmodel"].as_slice(), findings.len()),
        (b"flavour".as_slice(), 0)
    );

    let older = artifact(&source, "logged-model:m-0").await;
    let (listed, findings) = split(source.entries(&older).try_collect().await.unwrap());
    assert!(matches!(&listed[0].content, EntryContent::Reference(_)));
    assert_eq!(
        (findings[0].kind, findings[0].outcome),
        (Kind::Entries, Outcome::Lost)
    );

    let keys = async |selection| {
        let projects = projects(&source).await.0;
        let items: Vec<_> = TryStreamExt::try_collect(source.artifacts(&projects, &selection))
            .await
            .unwrap();
        let versions = split(items)
            .0
            .into_iter()
            .filter_map(|a| a.version?.source_key);
        versions
            .filter(|k| k.starts_with("logged"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(importer_core::Selection::new()).await,
        ["logged-model:m-0", "logged-model:m-1"]
    );
    assert_eq!(
        keys(crate::read::everything()).await,
        ["logged-model:m-0", "logged-model:m-1", "logged-model:m-2"]
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn registered_models_with_their_versions() {
    let db = with_models();
    let source = db.open();
    let (all, findings) = artifacts(&source).await;
    assert_eq!(findings, []);
    let registered: Vec<_> = all
        .iter()
        .filter(|a| a.project.is_none())
        .map(|a| {
            (
                a.collection.as_str(),
                a.version.as_ref().and_then(|v| v.index),
            )
        })
        .collect();
    assert_eq!(
        registered,
        [
            ("reg ü", Some(1)),
            ("reg ü", Some(3)),
            ("reg ü", Some(4)),
            ("reg ü", Some(5)),
            ("reg ü", Some(6)),
            ("none", None)
        ],
        "deleted versions say nothing any more, and are listed by no server"
    );
    let version = |n: u32| artifact(&source, format!("model-version:reg ü/{n}").leak());
    let first = version(1).await;
    let draft = first.version.as_ref().unwrap();
    assert_eq!(
        (
            draft.description.as_deref(),
            draft.metadata["mlflow"]["tags"].clone()
        ),
        (Some("v1"), json!({"vt": "1"}))
    );
    assert!(entries(&source, &first).await.0.contains_key("MLmodel"));
    let third = version(3).await;
    assert_eq!(third.version.as_ref().unwrap().aliases, ["champion"]);
    let items: Vec<_> = TryStreamExt::try_collect(source.entries(&third))
        .await
        .unwrap();
    let (listed, _) = split(items);
    let EntryContent::RunFile { run, name, .. } = &listed[0].content else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (run.as_str(), name.as_str(), listed[0].path.as_str()),
        (run_id(1).as_str(), "model/data/w.bin", "data/w.bin")
    );
    let items: Vec<_> = TryStreamExt::try_collect(source.entries(&version(4).await))
        .await
        .unwrap();
    let (listed, findings) = split(items);
    assert!(matches!(&listed[0].content, EntryContent::Reference(url) if url == "s3://bucket/x"));
    assert_eq!(
        (findings[0].kind, findings[0].outcome),
        (Kind::Entries, Outcome::Lost)
    );
    assert!(
        entries(&source, &version(5).await)
            .await
            .0
            .contains_key("MLmodel")
    );
    let items: Vec<_> = TryStreamExt::try_collect(source.entries(&version(6).await))
        .await
        .unwrap();
    let (listed, _) = split(items);
    assert!(
        matches!(&listed[0].content, EntryContent::Reference(at) if at == "models:/reg ü/2"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn traces_as_the_server_gives_them() {
    let db = Database::new(Version::New);
    let span = |id: &str| {
        json!({"trace_id": "AA==", "span_id": id, "parent_span_id": null, "name": id, "start_time_unix_nano": 5u64,
               "end_time_unix_nano": 6u64, "events": [], "links": [], "status": {"code": "STATUS_CODE_OK", "message": ""},
               "attributes": {"k": "1"}})
        .to_string()
    };
    let trace = |id: &str, time: i64| {
        db.run(&format!(
            "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, trace_name, session_id,
                 input_tokens, total_tokens, total_cost) VALUES ('{id}', 1, {time}, 31, 'OK', 'named', NULL, 3, 5, 0.00001);
             INSERT INTO trace_tags VALUES ('mlflow.traceName', 'old name', '{id}');"
        ));
    };
    let place = |id: &str, tag: &str, value: &str| {
        db.c.execute(
            "INSERT INTO trace_tags VALUES (?1, ?2, ?3)",
            [tag, value, id],
        )
        .unwrap()
    };
    let spans = |id: &str, content: &[&str]| {
        for (i, content) in content.iter().enumerate() {
            let sql = "INSERT INTO spans (trace_id, experiment_id, span_id, status, start_time_unix_nano, content) VALUES (?1, 1, ?2, 'OK', 5, ?3)";
            db.c.execute(sql, rusqlite::params![id, i as i64, content])
                .unwrap();
        }
    };
    trace("tr-b", 1000);
    trace("tr-a", 1000);
    trace("tr-torn", 2000);
    trace("tr-file", 3000);
    trace("tr-archived", 4000);
    trace("tr-empty", 5000);
    trace("tr-no-file", 6000);
    trace("tr-no-spans", 7000);
    place(
        "tr-no-file",
        "mlflow.artifactLocation",
        "mlflow-artifacts:/1/traces/tr-no-file/artifacts",
    );
    for id in ["tr-a", "tr-b", "tr-torn", "tr-no-spans"] {
        place(id, "mlflow.trace.spansLocation", "TRACKING_STORE");
    }
    spans("tr-a", &[&span("one"), &span("two")]);
    spans("tr-b", &[&span("three")]);
    spans("tr-torn", &[&span("four"), "{half"]);
    place(
        "tr-file",
        "mlflow.artifactLocation",
        "mlflow-artifacts:/1/traces/tr-file/artifacts",
    );
    db.write(
        "mlartifacts/1/traces/tr-file/artifacts/traces.json",
        &format!("{{\"spans\": [{}]}}", span("five")),
    );
    place("tr-archived", "mlflow.trace.spansLocation", "ARCHIVE_REPO");
    spans("tr-archived", &[""]);
    db.run(
        "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
             source_type, source_id, valid, rationale) VALUES ('a-1', 'tr-a', 'good', 'feedback', '1.0', 1, 2, 'HUMAN', 'ann', 1, 'so');
         INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
             source_type, valid) VALUES ('a-2', 'tr-a', 'want', 'expectation', '{\"x\": [1]}', 1, 2, 'CODE', 1);
         INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
             source_type, valid) VALUES ('a-3', 'tr-a', 'parts', 'feedback', '{\"n\": [1, 2.5, {\"b\": 3}], \"t\": true}', 1, 2, 'CODE', 1);
         INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
             source_type, valid) VALUES ('a-4', 'tr-a', 'count', 'expectation', '3', 1, 2, 'CODE', 1);",
    );
    let source = db.open();
    let (all, findings) = artifacts(&source).await;
    assert_eq!(findings, []);
    let traces = &all[0];
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        8
    );
    let (files, findings) = entries(&source, traces).await;
    let lacking: Vec<_> = findings
        .iter()
        .map(|f| (f.kind, f.outcome, f.place.as_str()))
        .collect();
    // The traces arrive; those that never had spans have lost none.
    let torn = "trace tr-torn: a span is not JSON";
    let archived = "the spans of trace tr-archived";
    assert_eq!(
        lacking,
        [
            (Kind::Traces, Outcome::Normalised, torn),
            (Kind::Entries, Outcome::Unreadable, archived)
        ]
    );
    let text = String::from_utf8(files["traces.jsonl"].clone()).unwrap();
    let lines: Vec<Json> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let ids: Vec<_> = lines
        .iter()
        .map(|l| l["trace_info"]["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "tr-a",
            "tr-b",
            "tr-torn",
            "tr-file",
            "tr-archived",
            "tr-empty",
            "tr-no-file",
            "tr-no-spans"
        ]
    );
    let spans: Vec<_> = lines
        .iter()
        .map(|l| l["spans"].as_array().unwrap().len())
        .collect();
    assert_eq!(spans, [2, 1, 1, 1, 0, 0, 0, 0]);
    let info = &lines[0]["trace_info"];
    assert_eq!(info["tags"]["mlflow.traceName"], "named");
    assert_eq!(
        info["trace_metadata"]["mlflow.trace.tokenUsage"],
        r#"{"input_tokens": 3, "total_tokens": 5}"#
    );
    assert_eq!(
        info["trace_metadata"]["mlflow.trace.cost"],
        r#"{"total_cost": 1e-05}"#
    );
    assert_eq!(
        (&info["execution_duration"], &info["state"]),
        (&json!("0.031s"), &json!("OK"))
    );
    // The server carries values as doubles, and writes them so.
    assert_eq!(info["assessments"][0]["feedback"], json!({"value": 1.0}));
    assert_eq!(
        info["assessments"][2]["feedback"],
        json!({"value": {"n": [1.0, 2.5, {"b": 3.0}], "t": true}})
    );
    assert_eq!(info["assessments"][3]["expectation"], json!({"value": 3.0}));
    assert_eq!(
        info["assessments"][1]["expectation"],
        json!({"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{\"x\": [1]}"}})
    );
    assert_eq!(
        lines[0]["spans"][0]["attributes"],
        json!([{"key": "k", "value": {"int_value": 1}}])
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn traces_of_version_2_keep_their_spans_as_they_are() {
    let db = Database::new(Version::New);
    db.run(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('t', 1, 1000, 'OK');
         INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', 'mlflow-artifacts:/1/traces/t/artifacts', 't');",
    );
    let span = json!({
        "name": "root", "context": {"span_id": "56ee", "trace_id": "235d"}, "parent_id": null, "start_time": 5,
        "end_time": 6, "status_code": "OK", "status_message": "", "attributes": {"k": "1"}, "events": [],
    });
    let file = "mlartifacts/1/traces/t/artifacts/traces.json";
    let before = artifact(&db.open(), "traces:1").await;
    db.write(file, &json!({ "spans": [span] }).to_string());
    let source = db.open();
    let traces = artifact(&source, "traces:1").await;
    assert_ne!(traces.fingerprint, before.fingerprint, "spans have come");
    let (files, findings) = entries(&source, &traces).await;
    assert_eq!(findings, []);
    let line: Json = serde_json::from_slice(&files["traces.jsonl"]).unwrap();
    assert_eq!(line["spans"], json!([span]));
}
