use std::{future::Future, sync::Arc};

use super::{
    artifacts::{collection, make},
    support::{bytes, kind, list, list_kind, new_run},
};
use crate::{
    ArtifactDraft, ArtifactUse, CollectionPatch, CollectionPath, ErrorKind, LinkDraft, Tracker,
    UseRole, VersionLink, VersionRef,
};

/// Versions and collections that are deleted: nothing speaks of them, and no index comes again.
pub async fn deletions<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    versions(tracker).await;
    collections(tracker).await;
    links(tracker).await;
}

fn with(aliases: &[&str]) -> ArtifactDraft {
    ArtifactDraft {
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
        ..ArtifactDraft::new()
    }
}

async fn indices(tracker: &dyn Tracker, path: &CollectionPath) -> Vec<u64> {
    let versions = list(tracker.versions(path)).await;
    versions.iter().map(|v| v.index).collect()
}

async fn versions(tracker: &dyn Tracker) {
    let path = collection(tracker, "versions").await;
    let (run, other) = (new_run(tracker, "a").await, new_run(tracker, "b").await);
    let entry = |run: &crate::RunPath, index| ArtifactUse {
        run: run.clone(),
        collection: path.clone(),
        index,
        role: UseRole::Used,
        step: None,
    };
    for aliases in [&["a"][..], &["b", "c"], &["d"]] {
        make(tracker, &path, with(aliases), "same").await.unwrap();
    }
    for index in 0..3 {
        tracker.record_use(entry(&run, index)).await.unwrap();
    }
    tracker.record_use(entry(&other, 1)).await.unwrap();
    assert_eq!(
        kind(tracker.delete_version(&path, 3).await),
        ErrorKind::NotFound
    );
    tracker.delete_version(&path, 1).await.unwrap();
    assert_eq!(indices(tracker, &path).await, [0, 2]);
    assert_eq!(
        kind(tracker.delete_version(&path, 1).await),
        ErrorKind::NotFound
    );
    let gone = tracker.version(&path, &VersionRef::Index(1)).await;
    assert_eq!(kind(gone), ErrorKind::NotFound);
    for alias in ["b", "c"] {
        let gone = tracker
            .version(&path, &VersionRef::Alias(alias.to_owned()))
            .await;
        assert_eq!(kind(gone), ErrorKind::NotFound, "its alias {alias}");
    }
    assert_eq!(
        list_kind(tracker.manifest(&path, 1)).await,
        ErrorKind::NotFound
    );
    let left = [entry(&run, 0), entry(&run, 2)];
    let mut uses = list(tracker.uses_of_run(&run)).await;
    uses.sort_by_key(|u| u.index);
    assert_eq!(uses, left, "its uses");
    assert!(list(tracker.uses_of_run(&other)).await.is_empty());
    let opened = tracker.open_entry(&path, 2, "f", None).await;
    assert_eq!(
        bytes(opened).await,
        b"same",
        "contents that others have stay"
    );

    // No index is given twice, that of the last version neither.
    let next = async || make(tracker, &path, with(&["b"]), "x").await.unwrap().index;
    assert_eq!(next().await, 3);
    tracker.delete_version(&path, 3).await.unwrap();
    assert_eq!(next().await, 4);
    for index in [0, 2, 4] {
        tracker.delete_version(&path, index).await.unwrap();
    }
    assert!(indices(tracker, &path).await.is_empty());
    assert_eq!(next().await, 5);
    if tracker.capabilities().version_indices {
        let wanted = ArtifactDraft {
            index: Some(2),
            ..with(&[])
        };
        assert_eq!(make(tracker, &path, wanted, "x").await.unwrap().index, 2);
        assert_eq!(next().await, 6);
    }
}

async fn collections(tracker: &dyn Tracker) {
    let (path, other) = (
        collection(tracker, "one").await,
        collection(tracker, "two").await,
    );
    let run = new_run(tracker, "c").await;
    for path in [&path, &other] {
        for aliases in [&["a"][..], &["b"]] {
            make(tracker, path, with(aliases), "x").await.unwrap();
        }
        let entry = ArtifactUse {
            run: run.clone(),
            collection: path.clone(),
            index: 1,
            role: UseRole::Logged,
            step: Some(3),
        };
        tracker.record_use(entry).await.unwrap();
    }
    tracker.delete_collection(&path).await.unwrap();
    assert_eq!(kind(tracker.collection(&path).await), ErrorKind::NotFound);
    assert_eq!(
        kind(tracker.delete_collection(&path).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.versions(&path)).await,
        ErrorKind::NotFound
    );
    let listed = list(tracker.collections(&path.project)).await;
    assert!(listed.iter().all(|c| c.path != path));
    let uses = list(tracker.uses_of_run(&run)).await;
    assert!(uses.len() == 1 && uses[0].collection == other);
    assert_eq!(indices(tracker, &other).await, [0, 1]);
    let alias = VersionRef::Alias("a".to_owned());
    assert_eq!(tracker.version(&other, &alias).await.unwrap().index, 0);

    // Another one with the name is a new one.
    collection(tracker, "one").await;
    assert!(indices(tracker, &path).await.is_empty());
    assert_eq!(
        kind(tracker.version(&path, &alias).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        make(tracker, &path, with(&["a"]), "x").await.unwrap().index,
        0
    );

    let draft = tracker.artifact_writer(&other, with(&[])).await.unwrap();
    tracker.delete_collection(&other).await.unwrap();
    assert_eq!(kind(draft.commit().await), ErrorKind::NotFound);
}

async fn links(tracker: &dyn Tracker) {
    if !tracker.capabilities().links {
        return;
    }
    let source = collection(tracker, "source").await;
    let path = CollectionPath::new("local/registry".parse().unwrap(), "portfolio").unwrap();
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(true);
    tracker.upsert_collection(&path, patch).await.unwrap();
    let link = async |index| {
        let target = VersionLink {
            collection: source.clone(),
            index,
        };
        let draft = LinkDraft::new().with_aliases(["prod"]);
        tracker
            .link_version(&path, &target, draft)
            .await
            .unwrap()
            .index
    };
    for _ in 0..3 {
        make(tracker, &source, with(&[]), "x").await.unwrap();
    }
    assert_eq!((link(0).await, link(1).await, link(2).await), (0, 1, 2));
    // A link goes alone, a target takes its links along.
    tracker.delete_version(&path, 0).await.unwrap();
    assert_eq!(indices(tracker, &source).await, [0, 1, 2]);
    let opened = tracker.open_entry(&source, 0, "f", None).await;
    assert_eq!(bytes(opened).await, b"x");
    tracker.delete_version(&source, 2).await.unwrap();
    assert_eq!(indices(tracker, &path).await, [1]);
    let prod = VersionRef::Alias("prod".to_owned());
    assert_eq!(
        kind(tracker.version(&path, &prod).await),
        ErrorKind::NotFound
    );
    assert_eq!(link(0).await, 3);
    tracker.delete_collection(&source).await.unwrap();
    assert!(indices(tracker, &path).await.is_empty());
    let source = collection(tracker, "source").await;
    make(tracker, &source, with(&[]), "y").await.unwrap();
    assert_eq!(link(0).await, 4);
    tracker.delete_collection(&path).await.unwrap();
    assert_eq!(indices(tracker, &source).await, [0]);
}
