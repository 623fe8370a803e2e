//! What filters and orders of runs are refused for, and what is suggested.

#![expect(clippy::unwrap_used)]

use query_dsl::ErrorKind;
use tracker_model::{RunFilter, RunOrder};

#[track_caller]
fn refused(filter: &str, kind: ErrorKind, pointer: &str, suggestion: Option<&str>) {
    let error = RunFilter::parse(filter).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.pointer(), pointer, "{error}");
    assert_eq!(error.suggestion(), suggestion, "{error}");
}

#[test]
fn fields_that_are_not() {
    let unknown = |filter, pointer, suggestion| {
        refused(filter, ErrorKind::UnknownField, pointer, suggestion);
    };
    unknown(r#"{"stat": "x"}"#, "/stat", Some("state"));
    unknown(r#"{"summry.acc": 1}"#, "/summry.acc", Some("summary.acc"));
    unknown(r#"{"$or": [{"a": 1}, {"lr": 1}]}"#, "/$or/0/a", None);
    unknown(r#"{"lr": {"$gt": 1}}"#, "/lr", Some("config.lr"));
    unknown(
        r#"{"updated_at": "2026-01-01"}"#,
        "/updated_at",
        Some("heartbeat_at"),
    );
    unknown(
        r#"{"keys_info.keys.a": {"$exists": true}}"#,
        "/keys_info.keys.a",
        None,
    );
    unknown(
        r#"{"tags.prod": {"$exists": true}}"#,
        "/tags.prod",
        Some(r#"{"tags": "prod"}"#),
    );
    unknown(r#"{"state.x": 1}"#, "/state.x", None);
    refused(
        r#"{"config": {"lr": 1}}"#,
        ErrorKind::SectionNeedsKey,
        "/config",
        Some("config.KEY"),
    );
}

#[test]
fn values_that_cannot_be() {
    let wrong = |filter, pointer, suggestion| {
        refused(filter, ErrorKind::InvalidValue, pointer, suggestion);
    };
    wrong(r#"{"state": "finnished"}"#, "/state", Some("finished"));
    wrong(
        r#"{"state": {"$in": ["running", "done"]}}"#,
        "/state/$in/1",
        None,
    );
    wrong(r#"{"group": 7}"#, "/group", Some("\"7\""));
    wrong(r#"{"duration": {"$gt": "1h"}}"#, "/duration/$gt", None);
    wrong(r#"{"deleted": "yes"}"#, "/deleted", None);
    let time = |filter, suggestion| {
        refused(
            filter,
            ErrorKind::ExpectedDatetime,
            "/created_at/$gt",
            suggestion,
        );
    };
    time(
        r#"{"created_at": {"$gt": 1700000000}}"#,
        Some("\"2023-11-14T22:13:20Z\""),
    );
    time(
        r#"{"created_at": {"$gt": 1700000000000}}"#,
        Some("\"2023-11-14T22:13:20Z\""),
    );
    time(r#"{"created_at": {"$gt": "yesterday"}}"#, None);
    let list = ErrorKind::Custom("tags_equality_list");
    refused(r#"{"tags": ["a", "b"]}"#, list, "/tags", Some("$all"));
}

#[test]
fn spellings_of_one_field_mean_the_same() {
    for (a, b) in [
        (r#"{"displayName": "x"}"#, r#"{"display_name": "x"}"#),
        (r#"{"summary.acc": 1}"#, r#"{"summary_metrics.acc": 1}"#),
        (r#"{"user": "u"}"#, r#"{"username": "u"}"#),
        (r#"{"jobType": "t"}"#, "job_type = t"),
        (
            r#"{"createdAt": {"$gt": "2026-01-31"}}"#,
            "created_at > 2026-01-31",
        ),
        (r#"{"state": "Finished"}"#, "state = finished"),
    ] {
        assert_eq!(RunFilter::parse(a).unwrap(), RunFilter::parse(b).unwrap());
    }
    // What is resolved can be resolved again.
    for text in [
        "config.a.value.value = 1",
        "summary.a.b = 1",
        "created_at < 7d",
        "id = x",
    ] {
        let once = RunFilter::parse(text).unwrap();
        let twice = RunFilter::new(once.resolved().clone()).unwrap();
        assert_eq!(once.resolved(), twice.resolved());
    }
}

#[test]
fn orders() {
    assert_eq!(
        RunOrder::parse(["-created_at"]).unwrap(),
        RunOrder::NewestFirst
    );
    assert_eq!(
        RunOrder::parse(["createdAt"]).unwrap(),
        RunOrder::OldestFirst
    );
    assert_eq!(
        RunOrder::parse(Vec::<&str>::new()).unwrap(),
        RunOrder::NewestFirst
    );
    let error = RunOrder::parse(["-state", "+sumary.acc"]).unwrap_err();
    assert_eq!(error.pointer(), "/1");
    assert_eq!(error.suggestion(), Some("summary.acc"));
}
