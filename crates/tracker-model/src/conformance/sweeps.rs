use std::{future::Future, sync::Arc};

use super::support::{kind, list, list_kind};
use crate::{
    Change, ErrorKind, JsonPatch, ProjectPath, Sweep, SweepPatch, SweepPath, SweepState, Timestamp,
    Tracker,
};

fn path(text: &str) -> SweepPath {
    text.parse().unwrap()
}

fn created(ms: i64) -> SweepPatch {
    let mut patch = SweepPatch::new();
    patch.created_at = Some(Timestamp::from_millis(ms));
    patch
}

/// Sweeps: made with their projects, changed in part, listed newest first, deleted without their
/// runs.
pub async fn sweeps<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let project: ProjectPath = "local/p".parse().unwrap();
    let one = path("local/p/s \u{fc}");
    assert_eq!(kind(tracker.sweep(&one).await), ErrorKind::NotFound);
    assert_eq!(kind(tracker.delete_sweep(&one).await), ErrorKind::NotFound);
    assert_eq!(
        list_kind(tracker.sweeps(&project)).await,
        ErrorKind::NotFound
    );

    if !tracker.capabilities().sweeps {
        assert_eq!(
            kind(tracker.upsert_sweep(&one, created(0)).await),
            ErrorKind::Unsupported
        );
        return;
    }
    let config = serde_json::json!({
        "method": "grid", "metric": { "name": "a.b", "goal": "maximize" },
        "parameters": { "lr": { "values": [1, 0.1, null] } }, "run_cap": i64::MAX,
    });
    let mut patch = created(1_000);
    patch.name = Change::Set("first \u{1f600}".to_owned());
    patch.description = Change::Set("why".to_owned());
    patch.user = Change::Set("ann".to_owned());
    patch.state = Some(SweepState::Running);
    patch.updated_at = Change::Set(Timestamp::from_parts(2_000, 1));
    patch.config = JsonPatch::Replace(config.as_object().cloned().unwrap());
    patch.config_text = Change::Set("method: grid # all\n".to_owned());
    let made = tracker.upsert_sweep(&one, patch).await.unwrap();
    assert_eq!(made.path, one);
    assert_eq!(made.name.as_deref(), Some("first \u{1f600}"));
    assert_eq!(made.description.as_deref(), Some("why"));
    assert_eq!(made.user.as_deref(), Some("ann"));
    assert_eq!(made.state, SweepState::Running);
    assert_eq!(made.created_at, Timestamp::from_millis(1_000));
    assert_eq!(made.updated_at, Some(Timestamp::from_parts(2_000, 1)));
    assert_eq!(serde_json::Value::Object(made.config.clone()), config);
    assert_eq!(made.config_text.as_deref(), Some("method: grid # all\n"));
    assert_eq!(made.version, 1);
    assert_eq!(
        tracker.sweep(&one).await.unwrap(),
        made,
        "what was answered is there"
    );
    assert_eq!(tracker.project(&project).await.unwrap().path, project);

    for state in SweepState::ALL {
        let mut patch = SweepPatch::new();
        patch.state = Some(state);
        let changed = tracker.upsert_sweep(&one, patch).await.unwrap();
        let wanted = Sweep {
            state,
            version: changed.version,
            ..made.clone()
        };
        assert_eq!(changed, wanted, "what a change does not name stays");
    }
    assert_eq!(tracker.sweep(&one).await.unwrap().version, 6);

    for (id, ms) in [("b", 3_000), ("a", 3_000), ("c", 2_000)] {
        let path = path(&format!("local/p/{id}"));
        tracker.upsert_sweep(&path, created(ms)).await.unwrap();
    }
    tracker
        .upsert_sweep(&path("local/q/a"), SweepPatch::new())
        .await
        .unwrap();
    let ids = async || {
        let sweeps = list(tracker.sweeps(&project)).await;
        sweeps
            .into_iter()
            .map(|s| s.path.sweep.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids().await,
        ["a", "b", "c", "s \u{fc}"],
        "newest first, then by id"
    );
    tracker.delete_sweep(&path("local/p/b")).await.unwrap();
    assert_eq!(ids().await, ["a", "c", "s \u{fc}"]);
    assert_eq!(
        kind(tracker.sweep(&path("local/p/b")).await),
        ErrorKind::NotFound
    );
}
