//! Experiments and runs, and what servers do wrong with pages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::TryStreamExt;
use importer_core::{Kind, Outcome, Selection, SourceItem};
use serde_json::{Value as Json, json};
use tracker_model::{ErrorKind, RunState, Timestamp};
use wiremock::{MockServer, Request, ResponseTemplate};

use super::{
    SEARCH_RUNS, asked, experiments, json_of, opened, reply, requests, run, server, server_with,
};
use crate::read::{everything, projects, run as read_run, runs};

fn body(request: &Request) -> Json {
    serde_json::from_slice(&request.body).unwrap()
}

/// A server whose listing is these runs, by offset.
async fn paging(runs: impl Fn(usize) -> Vec<Json> + Send + Sync + 'static) -> MockServer {
    let server = server("3.17.2").await;
    experiments(&server).await;
    let calls = AtomicUsize::new(0);
    reply(&server, "POST", SEARCH_RUNS, move |r| {
        let body = body(r);
        let offset: usize = body["page_token"]
            .as_str()
            .map_or(0, |t| t.parse().unwrap());
        let size = body["max_results"].as_u64().unwrap() as usize;
        let mut all = runs(calls.fetch_add(1, Ordering::Relaxed));
        if let Some(filter) = body["filter"].as_str() {
            let mut bounds = filter
                .split(" and ")
                .map(|part| part.rsplit(' ').next().unwrap().parse::<i64>().unwrap());
            let (since, until) = (bounds.next().unwrap(), bounds.next().unwrap_or(i64::MAX));
            all.retain(|run| {
                (since..=until).contains(&run["info"]["start_time"].as_i64().unwrap())
            });
        }
        let end = all.len().min(offset + size);
        let page = all.get(offset..end).unwrap_or_default();
        let mut answer = json!({ "runs": page });
        if end < all.len() {
            answer["next_page_token"] = end.to_string().into();
        }
        json_of(answer)
    })
    .await;
    server
}

fn many(count: usize) -> Vec<Json> {
    let one = |i: usize| {
        let mut run = run(&format!("{i:032x}"), &[]);
        run["info"]["start_time"] = (i / 3).into();
        run
    };
    (0..count).map(one).collect()
}

#[tokio::test]
async fn a_run_as_the_server_says() {
    let mut listed = run("a", &[("loss", 3, 1_700_000_000_000, 0.5)]);
    listed["info"]["end_time"] = json!("9007199254740993");
    listed["data"]["params"] = json!([{ "key": "p", "value": "" }, { "key": "unset" }]);
    listed["inputs"] = json!({ "dataset_inputs": [{
        "dataset": { "name": "d", "digest": "x", "source_type": "local", "source": "{}" },
        "tags": [{ "key": "mlflow.data.context", "value": "train" }],
    }] });
    let server = server_with("3.17.2", vec![listed]).await;
    let source = opened(&server).await;
    let (project, record) = (
        projects(&*source).await.0.remove(0),
        read_run(&*source, "a").await.1,
    );
    assert_eq!((project.name.as_str(), project.tags), ("vision", 1));
    assert_eq!(record.run.state, RunState::Finished);
    assert_eq!(record.run.started_at, Some(Timestamp::from_millis(1000)));
    assert_eq!(
        record.run.ended_at,
        Some(Timestamp::from_millis(9_007_199_254_740_993))
    );
    assert_eq!(record.run.user.as_deref(), Some("ada"));
    assert_eq!(
        record.run.config,
        *json!({ "p": "", "unset": "" }).as_object().unwrap()
    );
    assert_eq!(record.run.summary["loss"], 0.5);
    assert_eq!(record.run.inputs[0].context.as_deref(), Some("train"));
    assert!(record.findings.is_empty());
}

#[tokio::test]
async fn pages_are_followed_and_a_run_comes_once() {
    let server = paging(|_| many(1203)).await;
    let source = opened(&server).await;
    let (all, findings) = runs(&*source).await;
    assert_eq!((all.len(), findings.len()), (1203, 0));
    // Three pages and two seams.
    assert_eq!(asked(&server, SEARCH_RUNS).await, 5);
}

#[tokio::test]
async fn runs_that_vanish_meanwhile_hide_no_others() {
    // After the first page, its first 100 runs are gone.
    let server = paging(|call| many(1200).split_off(if call == 0 { 0 } else { 100 })).await;
    let source = opened(&server).await;
    let ids: std::collections::BTreeSet<_> =
        runs(&*source).await.0.into_iter().map(|r| r.id).collect();
    assert_eq!(ids.len(), 1200);
}

#[tokio::test]
async fn a_token_that_never_advances_is_an_error() {
    let server = server("3.17.2").await;
    experiments(&server).await;
    let answer = json!({ "runs": [run("a", &[])], "next_page_token": "same" });
    super::answer(&server, "POST", SEARCH_RUNS, json_of(answer)).await;
    let source = opened(&server).await;
    let project = projects(&*source).await.0.remove(0);
    let listed = source
        .runs(&project, &everything())
        .try_collect::<Vec<_>>()
        .await;
    let error = listed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("the same page token twice"),
        "{error}"
    );
    assert!(asked(&server, SEARCH_RUNS).await <= 3);
}

#[tokio::test]
async fn smaller_pages_for_a_server_that_cannot_cope() {
    let server = server("3.17.2").await;
    experiments(&server).await;
    reply(&server, "POST", SEARCH_RUNS, |r| {
        if body(r)["max_results"].as_u64().unwrap() > 100 {
            return ResponseTemplate::new(503);
        }
        json_of(json!({ "runs": [run("a", &[])] }))
    })
    .await;
    let source = opened(&server).await;
    assert_eq!(runs(&*source).await.0.len(), 1);
    let sizes: Vec<_> = requests(&server)
        .await
        .iter()
        .filter(|r| r.url.path() == SEARCH_RUNS)
        .map(|r| body(r)["max_results"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [500, 500, 250, 250, 125, 125, 62]);
}

#[tokio::test]
async fn asked_to_slow_down_it_waits_and_asks_again() {
    let server = server("3.17.2").await;
    experiments(&server).await;
    let calls = Arc::new(AtomicUsize::new(0));
    reply(&server, "POST", SEARCH_RUNS, move |_| {
        match calls.fetch_add(1, Ordering::Relaxed) {
            0..=2 => ResponseTemplate::new(429).insert_header("retry-after", "0"),
            _ => json_of(json!({ "runs": [run("a", &[])] })),
        }
    })
    .await;
    let source = opened(&server).await;
    assert_eq!(runs(&*source).await.0.len(), 1);
    assert_eq!(asked(&server, SEARCH_RUNS).await, 4);
}

#[tokio::test]
async fn times_narrow_the_listing() {
    let server = server_with("3.17.2", vec![run("a", &[])]).await;
    let source = opened(&server).await;
    let project = projects(&*source).await.0.remove(0);
    let mut selection = Selection::new();
    selection.since = Some(Timestamp::from_millis(500));
    selection.until = Some(Timestamp::from_millis(5000));
    let found: Vec<_> = source
        .runs(&project, &selection)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let body = body(&requests(&server).await.pop().unwrap());
    assert_eq!(
        body["filter"],
        "attributes.start_time >= 500 and attributes.start_time <= 5000"
    );
    assert_eq!(body["run_view_type"], "ACTIVE_ONLY");
}

#[tokio::test]
async fn a_run_without_an_id_is_told() {
    let server = server_with("3.17.2", vec![json!({}), run("a", &[])]).await;
    let source = opened(&server).await;
    let (found, findings) = runs(&*source).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (findings[0].kind, findings[0].outcome),
        (Kind::Runs, Outcome::Unreadable)
    );
}

#[tokio::test]
async fn a_changed_run_has_another_fingerprint() {
    let print = |listed: Json| async move {
        let server = server_with("3.17.2", vec![listed]).await;
        runs(&*opened(&server).await).await.0.remove(0).fingerprint
    };
    let plain = print(run("a", &[("loss", 3, 7, 0.5)])).await;
    assert_eq!(plain, print(run("a", &[("loss", 3, 7, 0.5)])).await);
    assert_ne!(plain, print(run("a", &[("loss", 4, 7, 0.5)])).await);
    let mut renamed = run("a", &[("loss", 3, 7, 0.5)]);
    renamed["info"]["run_name"] = json!("other");
    assert_ne!(plain, print(renamed).await);
}

#[tokio::test]
async fn deleted_experiments_only_if_asked_for() {
    let server = server("3.17.2").await;
    let gone = json!({ "experiments": [{ "experiment_id": "1", "name": "e", "lifecycle_stage": "deleted" }] });
    super::answer(&server, "POST", super::SEARCH_EXPERIMENTS, json_of(gone)).await;
    let source = opened(&server).await;
    assert_eq!(projects(&*source).await.0.len(), 1);
    let active: Vec<_> = source
        .projects(&Selection::new())
        .try_collect()
        .await
        .unwrap();
    assert!(
        active.iter().all(|p| matches!(p, SourceItem::Finding(_))),
        "{active:?}"
    );
}
