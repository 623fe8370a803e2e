use std::{future::Future, sync::Arc};

use super::support::{kind, list, list_kind};
use crate::{
    Change, ErrorKind, JsonPatch, ProjectPath, Report, ReportPatch, ReportPath, Timestamp, Tracker,
};

fn path(text: &str) -> ReportPath {
    text.parse().unwrap()
}

fn created(ms: i64) -> ReportPatch {
    let mut patch = ReportPatch::new();
    patch.created_at = Some(Timestamp::from_millis(ms));
    patch
}

/// Reports: made with their projects, changed in part, listed newest first, deleted.
pub async fn reports<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let project: ProjectPath = "local/p".parse().unwrap();
    let one = path("local/p/r \u{fc}");
    assert_eq!(kind(tracker.report(&one).await), ErrorKind::NotFound);
    assert_eq!(kind(tracker.delete_report(&one).await), ErrorKind::NotFound);
    assert_eq!(
        list_kind(tracker.reports(&project)).await,
        ErrorKind::NotFound
    );

    if !tracker.capabilities().reports {
        assert_eq!(
            kind(tracker.upsert_report(&one, created(0)).await),
            ErrorKind::Unsupported
        );
        return;
    }
    every_field(tracker, &one).await;
    assert_eq!(tracker.project(&project).await.unwrap().path, project);

    for (id, ms) in [("b", 3_000), ("a", 3_000), ("c", 2_000)] {
        let path = path(&format!("local/p/{id}"));
        tracker.upsert_report(&path, created(ms)).await.unwrap();
    }
    let before = Timestamp::now();
    let plain = tracker
        .upsert_report(&path("local/q/a"), ReportPatch::new())
        .await
        .unwrap();
    assert_eq!((plain.kind.as_str(), plain.spec.as_str()), ("runs", "{}"));
    assert!(plain.created_at >= before && plain.created_at <= Timestamp::now());
    let ids = async || {
        let reports = list(tracker.reports(&project)).await;
        reports
            .into_iter()
            .map(|r| r.path.report.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids().await,
        ["a", "b", "c", "r \u{fc}"],
        "newest first, then by id"
    );
    tracker.delete_report(&path("local/p/b")).await.unwrap();
    assert_eq!(ids().await, ["a", "c", "r \u{fc}"]);
    assert_eq!(
        kind(tracker.report(&path("local/p/b")).await),
        ErrorKind::NotFound
    );

    // More reports than a page holds.
    for i in 0..40 {
        let path = path(&format!("local/many/{i:02}"));
        tracker.upsert_report(&path, created(7)).await.unwrap();
    }
    let many = list(tracker.reports(&"local/many".parse().unwrap())).await;
    assert_eq!(many.len(), 40);
    assert!(many.is_sorted_by(|a, b| a.path < b.path));
}

async fn every_field(tracker: &dyn Tracker, path: &ReportPath) {
    // Neither tidied nor checked.
    let spec =
        "{ \"b\": 1.0,\n  \"a\": 1, \"a\": 18446744073709551616, \"\u{1f600}\": \"\\u0000\" }\n";
    let extras = serde_json::json!({ "wandb": { "coverUrl": null, "locked": true } });
    let mut patch = created(1_000);
    patch.kind = Some("runs/draft".to_owned());
    patch.title = Change::Set("first \u{1f600}".to_owned());
    patch.name = Change::Set("nw-x".to_owned());
    patch.description = Change::Set("why".to_owned());
    patch.user = Change::Set("ann".to_owned());
    patch.spec = Some(spec.to_owned());
    patch.updated_at = Change::Set(Timestamp::from_parts(2_000, 1));
    patch.extras = JsonPatch::Replace(extras.as_object().cloned().unwrap());
    let made = tracker.upsert_report(path, patch).await.unwrap();
    let mut wanted = Report::new(path.clone(), Timestamp::from_millis(1_000));
    wanted.kind = "runs/draft".to_owned();
    wanted.title = Some("first \u{1f600}".to_owned());
    wanted.name = Some("nw-x".to_owned());
    wanted.description = Some("why".to_owned());
    wanted.user = Some("ann".to_owned());
    wanted.spec = spec.to_owned();
    wanted.updated_at = Some(Timestamp::from_parts(2_000, 1));
    wanted.extras = extras.as_object().cloned().unwrap();
    wanted.version = 1;
    assert_eq!(made, wanted);
    assert_eq!(
        tracker.report(path).await.unwrap(),
        made,
        "what was answered is there"
    );
    let mut patch = ReportPatch::new();
    patch.title = Change::Clear;
    wanted.title = None;
    wanted.version = 2;
    assert_eq!(
        tracker.upsert_report(path, patch).await.unwrap(),
        wanted,
        "what a change does not name stays"
    );
}
