use std::{future::Future, sync::Arc};

use super::support::{kind, list, upsert};
use crate::{
    Change, ErrorKind, JsonPatch, ProjectPatch, ProjectPath, RunPatch, Timestamp, Tracker,
};

fn path(text: &str) -> ProjectPath {
    text.parse().unwrap()
}

/// Projects: made on demand, changed in part, listed by address.
pub async fn projects<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    assert!(
        list(tracker.projects(None)).await.is_empty(),
        "a fresh tracker has no projects"
    );
    assert_eq!(
        kind(tracker.project(&path("local/p")).await),
        ErrorKind::NotFound
    );

    let mut patch = ProjectPatch::new();
    patch.description = Change::Set("# notes\n\u{1f600}".to_owned());
    patch.created_at = Some(Timestamp::from_parts(-1_500, 250_000));
    patch.updated_at = Change::Set(Timestamp::from_millis(i64::MAX));
    let extras = serde_json::json!({ "mlflow": { "tags": { "a.b": "c\u{0}d", "n": i64::MIN } } });
    patch.extras = JsonPatch::Replace(extras.as_object().cloned().unwrap());
    let made = tracker
        .upsert_project(&path("local/p"), patch.clone())
        .await
        .unwrap();
    assert_eq!(made.path, path("local/p"));
    assert_eq!(made.description.as_deref(), Some("# notes\n\u{1f600}"));
    assert_eq!(made.created_at, Timestamp::from_parts(-1_500, 250_000));
    assert_eq!(made.updated_at, Some(Timestamp::from_millis(i64::MAX)));
    assert_eq!(serde_json::Value::Object(made.extras.clone()), extras);
    assert!(!made.deleted);
    assert_eq!(
        tracker.project(&path("local/p")).await.unwrap(),
        made,
        "what was answered is there"
    );
    assert_eq!(
        tracker
            .upsert_project(&path("local/p"), patch)
            .await
            .unwrap(),
        made,
        "the same change again"
    );

    let mut patch = ProjectPatch::new();
    patch.deleted = Some(true);
    patch.description = Change::Clear;
    let set = serde_json::json!({ "new": 1.5 });
    patch.extras = JsonPatch::Merge {
        set: set.as_object().cloned().unwrap(),
        remove: vec!["none".to_owned()],
    };
    let changed = tracker
        .upsert_project(&path("local/p"), patch)
        .await
        .unwrap();
    let mut wanted = made;
    (wanted.deleted, wanted.description) = (true, None);
    wanted.extras.insert("new".to_owned(), 1.5.into());
    assert_eq!(changed, wanted, "what a change does not name stays");
    assert_eq!(tracker.project(&path("local/p")).await.unwrap(), wanted);

    upsert(
        tracker,
        &"a/made by a run/r".parse().unwrap(),
        RunPatch::new(),
    )
    .await;
    for project in ["b-/z", "b/\u{5b9e}", "b/A", "b/a"] {
        tracker
            .upsert_project(&path(project), ProjectPatch::new())
            .await
            .unwrap();
    }
    let addresses =
        |projects: Vec<crate::Project>| projects.into_iter().map(|p| p.path).collect::<Vec<_>>();
    let all = [
        "a/made by a run",
        "b/A",
        "b/a",
        "b/\u{5b9e}",
        "b-/z",
        "local/p",
    ]
    .map(path);
    assert_eq!(
        addresses(list(tracker.projects(None)).await),
        all,
        "all projects by address"
    );
    let of_b = ["b/A", "b/a", "b/\u{5b9e}"].map(path);
    assert_eq!(
        addresses(list(tracker.projects(Some(&of_b[0].entity))).await),
        of_b
    );
    let nobody = path("nobody/p").entity;
    assert!(
        list(tracker.projects(Some(&nobody))).await.is_empty(),
        "an entity without projects"
    );

    // More than any page holds.
    for i in 0..300 {
        let path = path(&format!("many/p{i:03}"));
        tracker
            .upsert_project(&path, ProjectPatch::new())
            .await
            .unwrap();
    }
    let many = addresses(list(tracker.projects(Some(&path("many/p").entity))).await);
    assert_eq!(many.len(), 300);
    assert!(many.is_sorted(), "many projects by address");
}
