//! Logged models, registered models, prompts and traces.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::TryStreamExt;
use importer_core::{EntryContent, Kind, Outcome, Source, SourceArtifact, SourceEntry};
use serde_json::{Value as Json, json};
use tracker_model::{UseRole, collect_bytes};
use wiremock::{MockServer, Request, ResponseTemplate};

use super::{answer, asked, json_of, opened, query, reply, run, server_with};
use crate::read::{everything, projects, runs, split};

const SEARCH_MODELS: &str = "/api/2.0/mlflow/logged-models/search";
const REGISTERED: &str = "/api/2.0/mlflow/registered-models/search";
const VERSIONS: &str = "/api/2.0/mlflow/model-versions/search";
const TRACES: &str = "/api/3.0/mlflow/traces/search";
const RUN: &str = "0123456789abcdef0123456789abcdef";

fn body(r: &Request) -> Json {
    serde_json::from_slice(&r.body).unwrap()
}

async fn artifacts(
    source: &dyn Source,
) -> (
    BTreeMap<String, SourceArtifact>,
    Vec<importer_core::Finding>,
) {
    let all = projects(source).await.0;
    let items = source
        .artifacts(&all, &everything())
        .try_collect()
        .await
        .unwrap();
    let (artifacts, findings) = split(items);
    let key = |a: &SourceArtifact| {
        a.version
            .as_ref()
            .and_then(|v| v.source_key.clone())
            .unwrap_or_else(|| a.collection.clone())
    };
    (
        artifacts.into_iter().map(|a| (key(&a), a)).collect(),
        findings,
    )
}

async fn entries(
    source: &dyn Source,
    artifact: &SourceArtifact,
) -> (Vec<SourceEntry>, Vec<importer_core::Finding>) {
    split(source.entries(artifact).try_collect().await.unwrap())
}

async fn read(source: &dyn Source, artifact: &SourceArtifact, entry: &SourceEntry) -> Vec<u8> {
    collect_bytes(source.open_entry(artifact, entry).await.unwrap(), 1 << 20)
        .await
        .unwrap()
}

async fn with_models() -> MockServer {
    let mut maker = run(RUN, &[]);
    maker["outputs"] = json!({ "model_outputs": [{ "model_id": "m-1", "step": "7" }] });
    let server = server_with("3.17.2", vec![maker, run("user", &[])]).await;
    let model = json!({
        "info": {
            "model_id": "m-1", "experiment_id": "1", "name": "net", "creation_timestamp_ms": 5,
            "status": "LOGGED_MODEL_READY", "source_run_id": RUN,
            "artifact_uri": "mlflow-artifacts:/1/models/m-1/artifacts",
        },
        "data": { "params": [{ "key": "p", "value": "1" }], "metrics": [{ "key": "acc", "value": "NaN" }] },
    });
    answer(
        &server,
        "POST",
        SEARCH_MODELS,
        json_of(json!({ "models": [model] })),
    )
    .await;
    reply(&server, "GET", "/api/2.0/mlflow/runs/get", |r| {
        let id = query(r, "run_id").unwrap();
        let mut answer = run(&id, &[]);
        if id == "user" {
            answer["inputs"] = json!({ "model_inputs": [{ "model_id": "m-1" }] });
        }
        json_of(json!({ "run": answer }))
    })
    .await;
    reply(&server, "GET", "/api/2.0/mlflow/logged-models/m-1/artifacts/directories", |r| {
        let files = match query(r, "artifact_directory_path").as_deref() {
            None => json!([{ "path": "MLmodel", "file_size": 2 }, { "path": "data", "is_dir": true }]),
            Some("data") => json!([{ "path": "data/w.bin", "file_size": 3 }]),
            Some(_) => json!([]),
        };
        json_of(json!({ "files": files }))
    })
    .await;
    let proxied = "/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts";
    answer(
        &server,
        "GET",
        &format!("{proxied}/MLmodel"),
        ResponseTemplate::new(200).set_body_string("ml"),
    )
    .await;
    answer(
        &server,
        "GET",
        &format!("{proxied}/data/w.bin"),
        ResponseTemplate::new(200).set_body_string("www"),
    )
    .await;
    server
}

#[tokio::test]
async fn logged_models_with_files_and_relations() {
    let server = with_models().await;
    let source = opened(&server).await;
    for run in runs(&*source).await.0 {
        source.run(&run).await.unwrap();
    }
    let (all, findings) = artifacts(&*source).await;
    assert!(findings.is_empty(), "{findings:?}");
    let model = &all["logged-model:m-1"];
    assert_eq!(
        (model.collection.as_str(), model.logged_by.as_deref()),
        ("net", Some(RUN))
    );
    let uses: Vec<_> = model
        .uses
        .iter()
        .map(|u| (u.run.as_str(), u.role, u.step))
        .collect();
    assert_eq!(
        uses,
        [
            (RUN, UseRole::Logged, Some(7)),
            ("user", UseRole::Used, None)
        ]
    );
    let facts = &model.version.as_ref().unwrap().metadata["mlflow"];
    assert_eq!(
        (&facts["status"], &facts["metrics"][0]["value"]),
        (&json!("READY"), &json!("NaN"))
    );
    let (mut found, _) = entries(&*source, model).await;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let names: Vec<_> = found.iter().map(|e| (e.path.as_str(), e.size)).collect();
    assert_eq!(names, [("MLmodel", Some(2)), ("data/w.bin", Some(3))]);
    assert_eq!(read(&*source, model, &found[1]).await, b"www");

    // In a repeat nothing is read of runs that have not changed, and the model has not either.
    let again = opened(&server).await;
    runs(&*again).await;
    let unchanged = artifacts(&*again)
        .await
        .0
        .remove("logged-model:m-1")
        .unwrap();
    assert_eq!(unchanged.fingerprint, model.fingerprint);
    assert!(unchanged.immutable && !model.immutable);
}

#[tokio::test]
async fn runs_are_asked_for_what_they_read_only_where_there_are_models() {
    let server = server_with("3.17.2", vec![run("a", &[]), run("b", &[])]).await;
    answer(&server, "POST", SEARCH_MODELS, json_of(json!({}))).await;
    let source = opened(&server).await;
    for run in runs(&*source).await.0 {
        source.run(&run).await.unwrap();
    }
    assert_eq!(asked(&server, "/api/2.0/mlflow/runs/get").await, 0);
    assert_eq!(asked(&server, SEARCH_MODELS).await, 1);
}

#[tokio::test]
async fn registered_models_versions_aliases_and_prompts() {
    let server = with_models().await;
    reply(&server, "GET", REGISTERED, |r| match query(r, "filter") {
        None => json_of(json!({ "registered_models": [
            { "name": "it's", "creation_timestamp": 1, "aliases": [{ "alias": "best", "version": "4" }] },
            { "name": "none" },
        ] })),
        Some(filter) => {
            assert_eq!(filter, "tag.`mlflow.prompt.is_prompt` = 'true'");
            let tags = [json!({ "key": "mlflow.prompt.is_prompt", "value": "true" })];
            json_of(json!({ "registered_models": [{ "name": "ask", "tags": tags }] }))
        }
    })
    .await;
    reply(&server, "GET", VERSIONS, |r| {
        let version = |n: &str, source: &str| json!({ "name": "it's", "version": n, "source": source, "status": "READY", "current_stage": "None" });
        let versions = match query(r, "filter").unwrap().as_str() {
            "name = \"it's\"" => json!([
                version("4", "models:/m-1/"),
                version("1", &format!("runs:/{RUN}/model")),
                version("3", "s3://bucket/elsewhere"),
                version("2", "models:/it's/1"),
            ]),
            "name = 'none'" => json!([]),
            "name = 'ask' and tag.`mlflow.prompt.is_prompt` = 'true'" => json!([{ "name": "ask", "version": "1" }]),
            other => panic!("{other}"),
        };
        json_of(json!({ "model_versions": versions }))
    })
    .await;
    reply(&server, "GET", super::LIST_ARTIFACTS, |r| {
        let files = match query(r, "path").as_deref() {
            None => json!([{ "path": "model", "is_dir": true }]),
            Some("model") => json!([{ "path": "model/MLmodel", "file_size": 1 }]),
            Some(_) => json!([]),
        };
        json_of(json!({ "files": files }))
    })
    .await;
    let source = opened(&server).await;
    let (all, _) = artifacts(&*source).await;
    let version = |n: u64| &all[&format!("model-version:it's/{n}")];
    assert_eq!(version(4).version.as_ref().unwrap().aliases, ["best"]);
    assert_eq!(version(4).version.as_ref().unwrap().index, Some(4));
    assert!(all["none"].version.is_none());
    assert!(all.contains_key("model-version:ask/1"));

    let (files, _) = entries(&*source, version(4)).await;
    assert!(files.iter().any(|e| e.path == "data/w.bin"), "{files:?}");
    for n in [1, 2] {
        let (files, findings) = entries(&*source, version(n)).await;
        let EntryContent::RunFile { run, name, .. } = &files[0].content else {
            panic!("{files:?}")
        };
        assert_eq!(
            (run.as_str(), name.as_str(), files[0].path.as_str()),
            (RUN, "model/MLmodel", "MLmodel")
        );
        assert!(findings.is_empty());
    }
    let (files, findings) = entries(&*source, version(3)).await;
    assert!(
        matches!(&files[0].content, EntryContent::Reference(at) if at == "s3://bucket/elsewhere")
    );
    assert_eq!(
        (findings[0].kind, findings[0].outcome),
        (Kind::Entries, Outcome::Lost)
    );
}

#[tokio::test]
async fn traces_as_lines_in_order_of_time() {
    let server = server_with("3.17.2", vec![]).await;
    let info =
        |id: &str, time: &str| json!({ "trace_id": id, "request_time": time, "state": "OK" });
    reply(&server, "POST", TRACES, move |r| {
        let body = body(r);
        assert_eq!(body["max_results"], 500);
        json_of(match body["page_token"].as_str() {
            None => json!({ "traces": [info("b", "2026-01-01T00:00:01Z"), info("c", "2026-01-01T00:00:00.500Z")], "next_page_token": "2" }),
            Some(_) => json!({ "traces": [info("a", "2026-01-01T00:00:01Z"), { "trace_id": "torn" }] }),
        })
    })
    .await;
    reply(
        &server,
        "GET",
        "/api/3.0/mlflow/traces/batchGet",
        move |r| {
            let ids: Vec<_> = r.url.query_pairs().map(|(_, v)| v.into_owned()).collect();
            assert_eq!(ids, ["c", "a", "b"]);
            let trace =
                |id: &str| json!({ "trace_info": { "trace_id": id }, "spans": [{ "name": id }] });
            // One is missing here, and asked for alone.
            json_of(json!({ "traces": [trace("b"), trace("c")] }))
        },
    )
    .await;
    let one = json!({ "trace": { "trace_info": { "trace_id": "a" }, "spans": [{ "name": "a" }] } });
    answer(&server, "GET", "/api/3.0/mlflow/traces/get", json_of(one)).await;
    let source = opened(&server).await;
    let (all, findings) = artifacts(&*source).await;
    assert_eq!((findings.len(), findings[0].kind), (1, Kind::Traces));
    let traces = &all["traces:1"];
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        3
    );
    let (files, _) = entries(&*source, traces).await;
    let text = String::from_utf8(read(&*source, traces, &files[0]).await).unwrap();
    let lines: Vec<Json> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let ids: Vec<_> = lines
        .iter()
        .map(|l| l["trace_info"]["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["c", "a", "b"]);
    assert_eq!(lines[1]["spans"][0]["name"], "a");
}

/// What a server with MLflow 3.17 answers for traces that keep their spans in all the places there
/// are.
#[tokio::test]
async fn traces_whose_spans_are_elsewhere_or_nowhere() {
    const FILE: &str = "/ajax-api/3.0/mlflow/get-trace-artifact";
    let server = server_with("3.17.2", vec![]).await;
    let info = |id: &str, tags: Json| json!({ "trace_id": id, "request_time": "2026-01-01T00:00:01Z", "state": "OK", "tags": tags });
    let file = json!({ "mlflow.artifactLocation": "mlflow-artifacts:/1/traces/x/artifacts" });
    let at = |place: &str| json!({ "mlflow.trace.spansLocation": place });
    let infos = vec![
        info("archived", at("ARCHIVE_REPO")),
        info("archive-gone", at("ARCHIVE_REPO")),
        info("file", file.clone()),
        info("file-refused", file.clone()),
        info("file-torn", file.clone()),
        info("file-torn-2", file.clone()),
        info("no-file", file),
        info("nowhere", json!({})),
        info("partial", at("TRACKING_STORE")),
        info("stored", at("TRACKING_STORE")),
    ];
    let by_id: BTreeMap<_, _> = infos
        .iter()
        .map(|i| (i["trace_id"].as_str().unwrap().to_owned(), i.clone()))
        .collect();
    let count = infos.len();
    answer(&server, "POST", TRACES, json_of(json!({ "traces": infos }))).await;
    let refusal = |status: u16, code: &str| {
        ResponseTemplate::new(status)
            .set_body_json(json!({ "error_code": code, "message": "not here" }))
    };
    let elsewhere = move || refusal(500, "INTERNAL_ERROR");
    let of_all = by_id.clone();
    reply(
        &server,
        "GET",
        "/api/3.0/mlflow/traces/batchGet",
        move |r| {
            let ids: Vec<_> = r.url.query_pairs().map(|(_, v)| v.into_owned()).collect();
            // One such trace spoils the answer for all.
            let fits = |id: &String| ["nowhere", "partial", "stored"].contains(&id.as_str());
            assert!(ids.iter().all(fits), "{ids:?}");
            elsewhere()
        },
    )
    .await;
    reply(&server, "GET", "/api/3.0/mlflow/traces/get", move |r| {
        assert_eq!(query(r, "allow_partial").as_deref(), Some("true"));
        let id = query(r, "trace_id").unwrap();
        match id.as_str() {
            "archived" | "partial" | "stored" => json_of(json!({ "trace": {
                "trace_info": of_all[&id], "spans": [{ "span_id": "1", "name": id }],
            } })),
            "archive-gone" => refusal(500, "INVALID_STATE"),
            "nowhere" => elsewhere(),
            other => panic!("{other} is not asked for with spans"),
        }
    })
    .await;
    for (id, info) in &by_id {
        let path = format!("/api/3.0/mlflow/traces/{id}");
        let trace = json!({ "trace": { "trace_info": info } });
        answer(&server, "GET", &path, json_of(trace)).await;
    }
    reply(&server, "GET", FILE, move |r| {
        let raw = |text: &str| ResponseTemplate::new(200).set_body_string(text);
        match query(r, "request_id").unwrap().as_str() {
            "file" => raw(r#"{"spans": [{"span_id": "1", "name": "file", "attributes": {"n": "NaN"}, "start_time_unix_nano": 5}, {"name": "old", "events": [NaN]}]}"#),
            "file-refused" => refusal(403, "PERMISSION_DENIED"),
            "file-torn" => raw("{\"spans\": ["),
            "file-torn-2" | "nowhere" | "archive-gone" => refusal(500, "INVALID_STATE"),
            "no-file" => refusal(404, "NOT_FOUND"),
            other => panic!("{other} has its spans"),
        }
    })
    .await;
    let source = opened(&server).await;
    let (all, findings) = artifacts(&*source).await;
    assert_eq!(findings, []);
    let traces = &all["traces:1"];
    assert_eq!(
        traces.version.as_ref().unwrap().metadata["mlflow"]["traces"],
        count
    );
    let (files, findings) = entries(&*source, traces).await;
    let found: Vec<_> = findings
        .iter()
        .map(|f| {
            let place = f.place.split(": ").next().unwrap();
            (f.kind, f.outcome, place)
        })
        .collect();
    let (unreadable, changed) = (Outcome::Unreadable, Outcome::Normalised);
    assert_eq!(
        found,
        [
            (Kind::Entries, unreadable, "the spans of trace archive-gone"),
            (Kind::Entries, unreadable, "the spans of trace file-refused"),
            (Kind::Traces, changed, "trace file-torn"),
            (Kind::Traces, changed, "trace file-torn-2"),
        ]
    );
    assert_eq!(
        findings[1].reason,
        "the server does not give them: it answers 403"
    );
    let text = String::from_utf8(read(&*source, traces, &files[0]).await).unwrap();
    let lines: Vec<Json> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let spans: Vec<_> = lines
        .iter()
        .map(|l| l["spans"].as_array().unwrap().len())
        .collect();
    let infos: Vec<_> = lines.iter().map(|l| &l["trace_info"]).collect();
    assert_eq!(infos, by_id.values().collect::<Vec<_>>());
    assert_eq!(spans, [0, 1, 2, 0, 0, 0, 0, 0, 1, 1]);
    let file = &lines[2]["spans"];
    assert_eq!(file[0], json!({ "name": "old", "events": ["NaN"] }));
    assert_eq!(
        file[1]["attributes"],
        json!([{ "key": "n", "value": { "double_value": "NaN" } }])
    );
}

#[tokio::test]
async fn traces_that_a_server_stops_giving_are_no_silent_loss() {
    let server = server_with("2.22.5", vec![]).await;
    let old = json!({ "traces": [{ "request_id": "r", "experiment_id": "1", "timestamp_ms": 1500, "status": "OK" }] });
    answer(&server, "GET", "/api/2.0/mlflow/traces", json_of(old)).await;
    let asked = AtomicUsize::new(0);
    reply(
        &server,
        "GET",
        "/ajax-api/2.0/mlflow/get-trace-artifact",
        move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => json_of(json!({ "spans": [{ "name": "root" }] })),
            _ => ResponseTemplate::new(403),
        },
    )
    .await;
    let source = opened(&server).await;
    let all = artifacts(&*source).await.0;
    let traces = &all["traces:1"];
    let (files, findings) = entries(&*source, traces).await;
    assert_eq!(findings, []);
    let body = source.open_entry(traces, &files[0]).await.unwrap();
    let failed = body.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(failed.message().contains("spans of trace r"), "{failed}");
}

#[tokio::test]
async fn traces_of_older_servers() {
    let server = server_with("2.22.5", vec![]).await;
    let old = json!({ "traces": [{
        "request_id": "r", "experiment_id": "1", "timestamp_ms": 1500, "execution_time_ms": 31, "status": "OK",
        "tags": [{ "key": "k", "value": "v" }],
    }] });
    answer(&server, "GET", "/api/2.0/mlflow/traces", json_of(old)).await;
    let spans = json!({ "spans": [{ "name": "root", "context": { "span_id": "1" } }] });
    answer(
        &server,
        "GET",
        "/ajax-api/2.0/mlflow/get-trace-artifact",
        json_of(spans),
    )
    .await;
    let source = opened(&server).await;
    let all = artifacts(&*source).await.0;
    let (files, _) = entries(&*source, &all["traces:1"]).await;
    let line: Json =
        serde_json::from_slice(&read(&*source, &all["traces:1"], &files[0]).await).unwrap();
    assert_eq!(
        line["trace_info"]["request_time"],
        "1970-01-01T00:00:01.500Z"
    );
    assert_eq!(line["trace_info"]["execution_duration"], "0.031s");
    assert_eq!(line["trace_info"]["tags"]["k"], "v");
    assert_eq!(line["spans"][0]["context"]["span_id"], "1");
}

#[tokio::test]
async fn what_an_older_server_lacks_is_no_error() {
    let server = server_with("2.9.0", vec![run("a", &[])]).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    source.run(&run).await.unwrap();
    let (all, findings) = artifacts(&*source).await;
    assert!(all.is_empty() && findings.is_empty());
}

#[tokio::test]
async fn datasets_for_evaluations_are_counted_as_lost() {
    let server = server_with("3.17.2", vec![]).await;
    let found = json!({ "datasets": [{ "dataset_id": "d" }, { "dataset_id": "e" }] });
    answer(
        &server,
        "POST",
        "/api/3.0/mlflow/datasets/search",
        json_of(found),
    )
    .await;
    let source = opened(&server).await;
    let findings = artifacts(&*source).await.1;
    assert_eq!((findings[0].outcome, findings[0].count), (Outcome::Lost, 2));
}

#[tokio::test]
async fn it_keeps_the_contract_of_sources() {
    let server = with_models().await;
    reply(&server, "GET", super::BULK, |_| json_of(json!({}))).await;
    importer_core::conformance::source(opened(&server).await).await;
}

#[test]
fn sources_are_shared() {
    fn is_shared<T: Send + Sync + ?Sized>() {}
    is_shared::<Arc<dyn Source>>();
    is_shared::<importer_mlflow::RestSource>();
}
