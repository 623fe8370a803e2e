use super::*;
use crate::{Precondition, RunPatch, RunStore};

const _: fn() = || {
    fn handle<T: Send + Sync + Clone + Tracker>() {}
    handle::<MemoryTracker>();
};

#[test]
fn clones_share_what_they_keep() {
    let tracker = MemoryTracker::new();
    let path: RunPath = "local/p/r".parse().unwrap();
    let clone = tracker.clone();
    futures::executor::block_on(clone.upsert_run(&path, RunPatch::new(), Precondition::None))
        .unwrap();
    assert_eq!(
        futures::executor::block_on(tracker.run(&path))
            .unwrap()
            .version,
        1
    );
    assert_eq!(
        format!("{tracker} {tracker:?}"),
        "memory MemoryTracker { projects: 1, runs: 1, .. }"
    );
}
