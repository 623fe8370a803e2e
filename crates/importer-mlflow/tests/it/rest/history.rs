//! Histories: which calls are made, and what is made of their answers.

use importer_core::{Kind, Outcome, PointsQuery};
use importer_mlflow::{MlflowOptions, ServerOptions};
use serde_json::{Value as Json, json};
use tracker_model::{ErrorKind, SeriesKey};
use wiremock::{MockServer, Request, ResponseTemplate};

use super::{
    BULK, HISTORY, answer, asked, json_of, opened, opened_with, points, query, quick, reply,
    requests, run, server_with, values,
};
use crate::read::runs;

/// A point in an answer.
fn point(key: &str, step: i64, time: i64, value: impl Into<Json>) -> Json {
    json!({ "key": key, "step": step, "timestamp": time, "value": value.into() })
}

/// Answers the call for several runs: `count` points of each.
async fn bulk(server: &MockServer, count: i64) {
    reply(server, "GET", BULK, move |r| {
        let key = query(r, "metric_key").unwrap();
        let mut ids: Vec<_> = runs_of(r);
        ids.sort();
        let rows: Vec<_> = ids
            .iter()
            .flat_map(|id| {
                let key = key.clone();
                (0..count).map(move |i| {
                    let mut row = point(&key, i, i, 0.5);
                    row["run_id"] = id.as_str().into();
                    row
                })
            })
            .take(25_000)
            .collect();
        json_of(json!({ "metrics": rows }))
    })
    .await;
}

fn runs_of(r: &Request) -> Vec<String> {
    r.url
        .query_pairs()
        .filter(|(k, _)| k == "run_id")
        .map(|(_, v)| v.into_owned())
        .collect()
}

/// Answers the call for one series, page by page.
async fn history(server: &MockServer, count: i64) {
    reply(server, "GET", HISTORY, move |r| {
        let key = query(r, "metric_key").unwrap();
        let begin: i64 = query(r, "page_token").map_or(0, |t| t.parse().unwrap());
        let end = count.min(begin + query(r, "max_results").unwrap().parse::<i64>().unwrap());
        let rows: Vec<_> = (begin..end).map(|i| point(&key, i, i, 0.5)).collect();
        let mut answer = json!({ "metrics": rows });
        if end < count {
            answer["next_page_token"] = end.to_string().into();
        }
        json_of(answer)
    })
    .await;
}

#[tokio::test]
async fn many_short_runs_take_few_calls() {
    let listed = (0..300).map(|i| run(&format!("{i:032x}"), &[("a", 4, 4, 0.5), ("b", 4, 4, 0.5)]));
    let server = server_with("3.17.2", listed.collect()).await;
    bulk(&server, 5).await;
    let source = opened(&server).await;
    for run in runs(&*source).await.0 {
        let (batches, findings) = points(&*source, &run).await;
        assert!(findings.is_empty(), "{findings:?}");
        let keys: Vec<_> = batches.iter().map(|b| (b.key.as_str(), b.len())).collect();
        assert_eq!(keys, [("a", 5), ("b", 5)]);
        assert_eq!(batches[0].steps, [0, 1, 2, 3, 4]);
    }
    // 1 + 2 + 4 + … + 100 runs at once, two metrics each.
    let calls = asked(&server, BULK).await;
    assert!(calls <= 22, "{calls}");
    assert_eq!(asked(&server, HISTORY).await, 0);
}

#[tokio::test]
async fn one_run_of_many_is_read_alone() {
    let listed = (0..50).map(|i| run(&format!("{i:032x}"), &[("a", 4, 4, 0.5)]));
    let server = server_with("3.17.2", listed.collect()).await;
    bulk(&server, 5).await;
    let source = opened(&server).await;
    let all = runs(&*source).await.0;
    for i in [40, 3] {
        assert_eq!(points(&*source, &all[i]).await.0[0].len(), 5);
    }
    let read: Vec<_> = requests(&server).await.iter().flat_map(runs_of).collect();
    assert_eq!(read, [all[40].id.clone(), all[3].id.clone()]);
}

#[tokio::test]
async fn an_answer_at_its_limit_proves_nothing() {
    // The step of the latest point hides that there are many points.
    let server = server_with("3.17.2", vec![run("a", &[("k", 24_999, 24_999, 0.5)])]).await;
    bulk(&server, 25_000).await;
    history(&server, 60_000).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    assert!(findings.is_empty());
    let steps: Vec<i64> = batches
        .iter()
        .flat_map(|b| b.steps.iter().copied())
        .collect();
    assert_eq!(steps, (0..60_000).collect::<Vec<_>>());
    assert_eq!(asked(&server, HISTORY).await, 3);
    for request in requests(&server)
        .await
        .iter()
        .filter(|r| r.url.path() == HISTORY)
    {
        assert_eq!(query(request, "max_results").as_deref(), Some("25000"));
    }
}

#[tokio::test]
async fn a_server_without_the_call_for_several_runs() {
    let listed = (0..4).map(|i| run(&format!("{i:032x}"), &[("a", 2, 2, 0.5)]));
    let server = server_with("3.4.0", listed.collect()).await;
    history(&server, 3).await;
    let source = opened(&server).await;
    for run in runs(&*source).await.0 {
        assert_eq!(points(&*source, &run).await.0[0].len(), 3);
    }
    assert_eq!(
        (asked(&server, BULK).await, asked(&server, HISTORY).await),
        (1, 4)
    );
}

#[tokio::test]
async fn bare_words_of_python_are_understood() {
    let server = server_with("3.17.2", vec![run("a", &[("k", 2, 9, 1.0)])]).await;
    let body = r#"{"metrics": [
        {"key": "k", "run_id": "a", "step": 0, "timestamp": 7, "value": NaN},
        {"key": "k", "run_id": "a", "step": 1, "timestamp": 8, "value": -Infinity},
        {"key": "k", "run_id": "a", "step": 2, "timestamp": 9, "value": 1.0}]}"#;
    let python = ResponseTemplate::new(200).set_body_raw(body, "application/json");
    answer(&server, "GET", BULK, python).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    assert!(values(&batches[0])[0].is_nan() && findings.is_empty());
    assert_eq!(&values(&batches[0])[1..], [f64::NEG_INFINITY, 1.0]);
}

#[tokio::test]
async fn points_that_the_listing_promises_and_that_do_not_come() {
    let server = server_with(
        "3.17.2",
        vec![run("a", &[("k", 2, 9, 1.0), ("l", 0, 0, 1.0)])],
    )
    .await;
    answer(&server, "GET", BULK, json_of(json!({}))).await;
    reply(&server, "GET", HISTORY, |r| {
        match query(r, "metric_key").as_deref() {
            Some("k") => json_of(json!({ "metrics": [point("k", 1, 8, 1.0)] })),
            _ => json_of(json!({})),
        }
    })
    .await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    assert_eq!(batches.len(), 1);
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.kind, f.outcome, f.place.as_str()))
        .collect();
    let unreadable = |place| (Kind::Points, Outcome::Unreadable, place);
    assert_eq!(
        found,
        [unreadable("run a, \"k\""), unreadable("run a, \"l\"")]
    );
}

#[tokio::test]
async fn pages_are_put_into_one_order() {
    // A database of MLflow cannot tell NaN from 0, here over the end of a page too.
    let server = server_with("3.17.2", vec![run("a", &[("k", 50_000, 3, 1.0)])]).await;
    reply(&server, "GET", HISTORY, |r| match query(r, "page_token").as_deref() {
        None => json_of(json!({
            "metrics": [point("k", 1, 1, -1.0), point("k", 1, 2, -5.0), point("k", 1, 2, "NaN")],
            "next_page_token": "2",
        })),
        Some(_) => json_of(json!({
            "metrics": [point("k", 1, 2, 0.0), point("k", 1, 2, 7.0), point("k", 50_000, 3, 1.0)],
        })),
    })
    .await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    let all: Vec<f64> = batches.iter().flat_map(|b| values(b).to_vec()).collect();
    assert_eq!(
        (&all[..3], &all[4..]),
        (&[-1.0, -5.0, 0.0][..], &[7.0, 1.0][..])
    );
    assert!(
        all[3].is_nan() && findings.is_empty(),
        "{all:?} {findings:?}"
    );
}

#[tokio::test]
async fn old_servers_answer_everything_at_once_in_any_order() {
    let server = server_with("2.22.5", vec![run("a", &[("k", 70_000, 70_000, 0.5)])]).await;
    let rows: Vec<_> = (0..=70_000i64)
        .rev()
        .map(|i| point("k", i, i, 0.5))
        .collect();
    answer(&server, "GET", HISTORY, json_of(json!({ "metrics": rows }))).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, findings) = points(&*source, &run).await;
    let steps: Vec<i64> = batches
        .iter()
        .flat_map(|b| b.steps.iter().copied())
        .collect();
    assert_eq!(steps, (0..=70_000).collect::<Vec<_>>());
    assert!(findings.is_empty() && batches.len() > 1);
}

#[tokio::test]
async fn a_history_whose_token_never_advances_is_an_error() {
    for version in ["3.17.2", "3.1.0"] {
        let server = server_with(version, vec![run("a", &[("k", 50_000, 3, 1.0)])]).await;
        let page = json!({ "metrics": [point("k", 1, 1, 1.0)], "next_page_token": "x" });
        answer(&server, "GET", HISTORY, json_of(page)).await;
        let source = opened(&server).await;
        let run = runs(&*source).await.0.remove(0);
        let read: Result<Vec<_>, _> =
            futures::TryStreamExt::try_collect(source.points(&run, PointsQuery::new())).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{version}");
        assert!(error.to_string().contains("run a, \"k\""), "{error}");
        assert!(asked(&server, HISTORY).await <= 3);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_again() {
    let server = server_with("3.17.2", vec![run("a", &[("k", 50_000, 3, 1.0)])]).await;
    let half = ResponseTemplate::new(200)
        .set_body_raw(r#"{"metrics": [{"key": "k", "va"#, "application/json");
    answer(&server, "GET", HISTORY, half).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let read: Result<Vec<_>, _> =
        futures::TryStreamExt::try_collect(source.points(&run, PointsQuery::new())).await;
    let error = read.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("cut off"), "{error}");
    assert_eq!(asked(&server, HISTORY).await, 3);
}

#[tokio::test]
async fn some_series_alone() {
    let server = server_with(
        "3.17.2",
        vec![run("a", &[("k", 4, 4, 0.5), ("l", 4, 4, 0.5)])],
    )
    .await;
    bulk(&server, 5).await;
    let source = opened(&server).await;
    let run = runs(&*source).await.0.remove(0);
    let mut query = PointsQuery::new();
    query.except.insert(SeriesKey::from("k"));
    let items: Vec<_> = futures::TryStreamExt::try_collect(source.points(&run, query))
        .await
        .unwrap();
    assert_eq!((items.len(), asked(&server, BULK).await), (1, 1));
}

#[tokio::test]
async fn the_largest_doubles_become_infinities_if_asked_for() {
    let max = f64::MAX;
    let server = server_with("3.17.2", vec![run("a", &[("k", 1, 1, -max)])]).await;
    let row = |step: i64, value: f64| json!({ "run_id": "a", "step": step, "timestamp": step, "value": value });
    answer(
        &server,
        "GET",
        BULK,
        json_of(json!({ "metrics": [row(0, max), row(1, -max)] })),
    )
    .await;
    let mut options = MlflowOptions::new().with_restored_infinities(true);
    options.server = quick();
    let source = opened_with(&server, options).await;
    let (run, record) = crate::read::run(&*source, "a").await;
    assert_eq!(record.run.summary["k"], "-Infinity");
    let (batches, findings) = points(&*source, &run).await;
    assert_eq!(values(&batches[0]), [f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!(
        (findings[0].outcome, findings[0].count),
        (Outcome::Normalised, 2)
    );
    assert_eq!(findings[0].reason, "double-max-to-infinity");
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed() {
    let metrics: Vec<String> = (0..40).map(|i| format!("m{i:02}")).collect();
    let latest: Vec<_> = metrics.iter().map(|m| (m.as_str(), 4, 4, 0.5)).collect();
    let server = server_with("3.17.2", vec![run("a", &latest)]).await;
    bulk(&server, 5).await;
    let options: ServerOptions = quick().with_max_in_flight(2);
    let source = opened_with(&server, MlflowOptions::new().with_server(options)).await;
    let run = runs(&*source).await.0.remove(0);
    let (batches, _) = points(&*source, &run).await;
    assert!(batches.is_sorted_by(|a, b| a.key < b.key) && batches.len() == 40);
}
