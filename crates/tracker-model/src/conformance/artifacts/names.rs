use super::{collection, draft, make, path};
use crate::{
    ArtifactUse, CollectionPatch, CollectionPath, ErrorKind, LinkDraft, Tracker, UseRole,
    VersionLink, VersionRef,
    conformance::support::{bytes, kind, list, list_kind, new_run},
};

fn called(name: &str) -> CollectionPatch {
    let mut patch = CollectionPatch::new();
    patch.name = Some(name.to_owned());
    patch
}

/// A collection under another name, with all that belongs to it.
pub(super) async fn names(tracker: &dyn Tracker) {
    let (old, new) = (collection(tracker, "old name").await, path("new name"));
    let run = new_run(tracker, "renames").await;
    let draft = || crate::ArtifactDraft {
        aliases: vec!["best".to_owned()],
        source_key: Some("key".to_owned()),
        ..draft()
    };
    let version = make(tracker, &old, draft(), "x").await.unwrap();
    let used = |collection: &CollectionPath| ArtifactUse {
        run: run.clone(),
        collection: collection.clone(),
        index: version.index,
        role: UseRole::Used,
        step: None,
    };
    tracker.record_use(used(&old)).await.unwrap();
    let link = link(tracker, &old, version.index).await;

    let mut patch = called("new name");
    patch.kind = Some("model".to_owned());
    let renamed = tracker.upsert_collection(&old, patch).await.unwrap();
    assert_eq!((&renamed.path, renamed.kind.as_str()), (&new, "model"));
    assert_eq!(tracker.collection(&new).await.unwrap(), renamed);
    assert_eq!(kind(tracker.collection(&old).await), ErrorKind::NotFound);
    assert_eq!(list_kind(tracker.versions(&old)).await, ErrorKind::NotFound);
    for at in [
        VersionRef::Index(version.index),
        VersionRef::Alias("best".to_owned()),
    ] {
        let there = tracker.version(&new, &at).await.unwrap();
        assert_eq!((&there.collection, there.index), (&new, version.index));
        assert_eq!(there.digest, version.digest);
    }
    let opened = tracker.open_entry(&new, version.index, "f", None);
    assert_eq!(bytes(opened.await).await, b"x");
    assert_eq!(list(tracker.uses_of_run(&run)).await, [used(&new)]);
    let of_version = tracker.uses_of_version(&new, version.index);
    assert_eq!(list(of_version).await, [used(&new)]);
    if let Some((portfolio, index)) = link {
        let link = tracker.version(&portfolio, &VersionRef::Index(index)).await;
        let target = VersionLink {
            collection: new.clone(),
            index: version.index,
        };
        assert_eq!(link.unwrap().link_of, Some(target));
    }
    // What an import made is found again.
    let again = make(tracker, &new, draft(), "x").await.unwrap();
    assert_eq!(again.index, version.index);

    let other = collection(tracker, "other name").await;
    let taken = tracker.upsert_collection(&new, called("other name")).await;
    assert_eq!(kind(taken), ErrorKind::AlreadyExists);
    let absent = tracker.upsert_collection(&old, called("third name")).await;
    assert_eq!(kind(absent), ErrorKind::NotFound);
    let illegal = tracker.upsert_collection(&new, called("")).await;
    assert_eq!(kind(illegal), ErrorKind::InvalidInput);
    assert_eq!(tracker.collection(&new).await.unwrap(), renamed);
    let same = tracker.upsert_collection(&new, called("new name")).await;
    assert_eq!(same.unwrap(), renamed, "the name that it has");

    let reused = collection(tracker, "old name").await;
    assert!(list(tracker.versions(&reused)).await.is_empty());
    for path in [&new, &other, &reused] {
        tracker.delete_collection(path).await.unwrap();
    }
}

/// A link to the version, where there are links.
async fn link(
    tracker: &dyn Tracker,
    to: &CollectionPath,
    index: u64,
) -> Option<(CollectionPath, u64)> {
    if !tracker.capabilities().links {
        return None;
    }
    let portfolio = CollectionPath::new("local/registry".parse().unwrap(), "of renamed").unwrap();
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(true);
    tracker.upsert_collection(&portfolio, patch).await.unwrap();
    let target = VersionLink {
        collection: to.clone(),
        index,
    };
    let link = tracker.link_version(&portfolio, &target, LinkDraft::new());
    let index = link.await.unwrap().index;
    Some((portfolio, index))
}
