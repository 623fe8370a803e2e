use std::{collections::BTreeSet, future::Future, sync::Arc};

use super::{
    artifacts::{collection, make},
    support::{kind, list, list_kind, new_run, run_path},
};
use crate::{ArtifactDraft, ArtifactUse, CollectionPath, ErrorKind, RunPath, Tracker, UseRole};

/// Lineage: seen from the run and from the version.
pub async fn lineage<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let (one, two) = (new_run(tracker, "one").await, new_run(tracker, "two").await);
    let (model, data) = (
        collection(tracker, "model").await,
        collection(tracker, "data").await,
    );
    for path in [&model, &model, &data] {
        make(tracker, path, ArtifactDraft::new(), "x")
            .await
            .unwrap();
    }
    let entry = |run: &RunPath, collection: &CollectionPath, index, role, step| ArtifactUse {
        run: run.clone(),
        collection: collection.clone(),
        index,
        role,
        step,
    };
    let uses = [
        entry(&one, &data, 0, UseRole::Used, None),
        entry(&one, &model, 0, UseRole::Logged, Some(i64::MIN)),
        entry(&one, &model, 1, UseRole::Logged, Some(0)),
        entry(&two, &data, 0, UseRole::Used, None),
        entry(&two, &model, 1, UseRole::Used, Some(i64::MAX)),
        entry(&two, &model, 1, UseRole::Logged, None),
    ];
    assert!(list(tracker.uses_of_run(&one)).await.is_empty());
    assert!(list(tracker.uses_of_version(&data, 0)).await.is_empty());
    for entry in uses.iter().chain(&uses) {
        tracker.record_use(entry.clone()).await.unwrap();
    }
    // In no order, each once.
    let check = |there: Vec<ArtifactUse>, wanted: Vec<&ArtifactUse>, place: &str| {
        assert_eq!(there.len(), wanted.len(), "how many uses there are {place}");
        let text = |u: &ArtifactUse| format!("{u:?}");
        let there: BTreeSet<String> = there.iter().map(text).collect();
        assert_eq!(there, wanted.into_iter().map(text).collect(), "{place}");
    };
    for run in [&one, &two] {
        let wanted = uses.iter().filter(|u| u.run == *run).collect();
        check(list(tracker.uses_of_run(run)).await, wanted, "of a run");
    }
    for (path, index) in [(&data, 0), (&model, 0), (&model, 1)] {
        let wanted = uses
            .iter()
            .filter(|u| u.collection == *path && u.index == index)
            .collect();
        check(
            list(tracker.uses_of_version(path, index)).await,
            wanted,
            "of a version",
        );
    }

    let absent = run_path("absent");
    let refused = [
        entry(&absent, &data, 0, UseRole::Used, None),
        entry(&one, &data, 1, UseRole::Used, None),
        entry(
            &one,
            &CollectionPath::new(data.project.clone(), "absent").unwrap(),
            0,
            UseRole::Used,
            None,
        ),
    ];
    for entry in refused {
        assert_eq!(kind(tracker.record_use(entry).await), ErrorKind::NotFound);
    }
    assert_eq!(
        list_kind(tracker.uses_of_run(&absent)).await,
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.uses_of_version(&data, 1)).await,
        ErrorKind::NotFound
    );

    tracker.delete_run(&two).await.unwrap();
    check(
        list(tracker.uses_of_version(&data, 0)).await,
        vec![&uses[0]],
        "after a run was deleted",
    );
    new_run(tracker, "two").await;
    assert!(
        list(tracker.uses_of_run(&two)).await.is_empty(),
        "a new run has no old lineage"
    );
}
