use std::{future::Future, sync::Arc};

use super::{
    artifacts::{collection, make},
    support::{bytes, kind, list, new_run},
};
use crate::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, Change, CollectionPatch, CollectionPath,
    ErrorKind, JsonPatch, LinkDraft, Timestamp, Tracker, UseRole, VersionLink, VersionPatch,
    VersionRef,
};

/// Links: portfolios, versions that stand for others, aliases of their own.
pub async fn links<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let source = collection(tracker, "source").await;
    let path = CollectionPath::new("local/registry".parse().unwrap(), "portfolio").unwrap();
    let made = tracker.upsert_collection(&path, portfolio(true)).await;
    if !tracker.capabilities().links {
        assert_eq!(kind(made), ErrorKind::Unsupported);
        let version = make(tracker, &source, draft(), "x").await.unwrap();
        let linked = tracker
            .link_version(&source, &of(&version), LinkDraft::new())
            .await;
        assert_eq!(kind(linked), ErrorKind::Unsupported);
        return;
    }
    let made = made.unwrap();
    assert!(made.portfolio);
    assert_eq!(tracker.collection(&path).await.unwrap(), made);
    portfolios(tracker, &path, &source).await;
    shared(tracker, &path, &source).await;
    aliases(tracker, &path, &source).await;
    places(tracker, &source).await;
    replaced(tracker).await;
}

fn portfolio(portfolio: bool) -> CollectionPatch {
    let mut patch = CollectionPatch::new();
    patch.kind = Some("model".to_owned());
    patch.portfolio = Some(portfolio);
    patch
}

fn draft() -> ArtifactDraft {
    ArtifactDraft::new()
}

fn of(version: &ArtifactVersion) -> VersionLink {
    VersionLink {
        collection: version.collection.clone(),
        index: version.index,
    }
}

/// What a portfolio is, and what is refused.
async fn portfolios(tracker: &dyn Tracker, path: &CollectionPath, source: &CollectionPath) {
    for (path, patch) in [(path, portfolio(false)), (source, portfolio(true))] {
        let changed = tracker.upsert_collection(path, patch).await;
        assert_eq!(kind(changed), ErrorKind::InvalidInput);
    }
    let again = tracker
        .upsert_collection(path, portfolio(true))
        .await
        .unwrap();
    assert!(again.portfolio);
    let again = tracker
        .upsert_collection(path, CollectionPatch::new())
        .await
        .unwrap();
    assert!(again.portfolio, "what a change does not name stays");
    let version = make(tracker, source, draft(), "x").await.unwrap();
    assert_eq!(
        kind(make(tracker, path, draft(), "x").await),
        ErrorKind::InvalidInput,
        "a version in a portfolio"
    );
    let link = async |path: &CollectionPath, target: &VersionLink| {
        tracker.link_version(path, target, LinkDraft::new()).await
    };
    assert_eq!(
        kind(link(source, &of(&version)).await),
        ErrorKind::InvalidInput,
        "a link in another collection"
    );
    let none = VersionLink {
        index: 9,
        ..of(&version)
    };
    assert_eq!(kind(link(path, &none).await), ErrorKind::NotFound);
    let nowhere = CollectionPath::new(path.project.clone(), "nowhere").unwrap();
    assert_eq!(
        kind(link(&nowhere, &of(&version)).await),
        ErrorKind::NotFound
    );
    let none = VersionLink {
        collection: nowhere,
        index: 0,
    };
    assert_eq!(kind(link(path, &none).await), ErrorKind::NotFound);
    assert!(list(tracker.versions(path)).await.is_empty());
}

/// A link says what its target says, now.
async fn shared(tracker: &dyn Tracker, path: &CollectionPath, source: &CollectionPath) {
    let metadata = serde_json::json!({ "acc": 0.5 });
    let draft = ArtifactDraft {
        aliases: vec!["best".to_owned()],
        tags: vec!["t".to_owned()],
        description: Some("text".to_owned()),
        metadata: metadata.as_object().cloned().unwrap(),
        extras: metadata.as_object().cloned().unwrap(),
        ttl_seconds: Some(5),
        logged_by: Some("local/conformance/run".parse().unwrap()),
        source_key: Some("key".to_owned()),
        ..draft()
    };
    let target = make(tracker, source, draft, "of the target").await.unwrap();
    let mut wanted = LinkDraft::new().with_aliases(["prod"]);
    wanted.created_at = Some(Timestamp::from_parts(9_000, 1));
    let link = tracker
        .link_version(path, &of(&target), wanted)
        .await
        .unwrap();
    let like = |target: &ArtifactVersion, link: &ArtifactVersion| ArtifactVersion {
        collection: path.clone(),
        index: link.index,
        aliases: link.aliases.clone(),
        created_at: Timestamp::from_parts(9_000, 1),
        source_key: None,
        link_of: Some(of(target)),
        ..target.clone()
    };
    assert_eq!(link, like(&target, &link));
    assert_eq!(
        (link.index, &link.aliases[..]),
        (0, &["prod".to_owned()][..])
    );
    let entries = list(tracker.manifest(path, 0)).await;
    assert_eq!(entries, list(tracker.manifest(source, target.index)).await);
    let opened = tracker.open_entry(path, 0, "f", Some(7..99)).await;
    assert_eq!(bytes(opened).await, b"target");

    let mut patch = VersionPatch::new();
    patch.description = Change::Set("later".to_owned());
    patch.tags = Some(Vec::new());
    patch.ttl_seconds = Change::Clear;
    patch.metadata = JsonPatch::Replace(crate::JsonObject::new());
    let target = tracker
        .update_version(source, target.index, patch)
        .await
        .unwrap();
    let there = tracker.version(path, &VersionRef::Index(0)).await.unwrap();
    assert_eq!(
        there,
        like(&target, &link),
        "what is said of the target is said of the link"
    );
    assert_eq!(list(tracker.versions(path)).await, [there]);

    let mut patch = VersionPatch::new();
    patch.description = Change::Set("of the link".to_owned());
    let changed = tracker.update_version(path, 0, patch).await;
    assert_eq!(kind(changed), ErrorKind::InvalidInput);
    let mut patch = VersionPatch::new();
    patch.aliases = Some(vec!["prod".to_owned(), "gold".to_owned()]);
    let link = tracker.update_version(path, 0, patch).await.unwrap();
    assert_eq!(link, like(&target, &link));
    assert_eq!(link.aliases.len(), 2);
    let there = tracker
        .version(source, &VersionRef::Index(target.index))
        .await
        .unwrap();
    assert_eq!(there, target, "the target is as it was");

    // Lineage is of the version that is named.
    let run = new_run(tracker, "user").await;
    let entry = ArtifactUse {
        run: run.clone(),
        collection: path.clone(),
        index: 0,
        role: UseRole::Used,
        step: None,
    };
    tracker.record_use(entry.clone()).await.unwrap();
    assert_eq!(list(tracker.uses_of_run(&run)).await, [entry]);
}

/// The same target twice is one link; its aliases move within the portfolio.
async fn aliases(tracker: &dyn Tracker, path: &CollectionPath, source: &CollectionPath) {
    let aliases_of = async |index| {
        let version = tracker
            .version(path, &VersionRef::Index(index))
            .await
            .unwrap();
        let mut aliases = version.aliases;
        aliases.sort_unstable();
        aliases
    };
    let first = VersionLink {
        collection: source.clone(),
        index: 1,
    };
    let second = of(&make(tracker, source, draft(), "second").await.unwrap());
    let link = async |target: &VersionLink, aliases: &[&str]| {
        let draft = LinkDraft::new().with_aliases(aliases.iter().copied());
        tracker.link_version(path, target, draft).await.unwrap()
    };
    assert_eq!(link(&second, &["prod", "new", "new"]).await.index, 1);
    assert_eq!(aliases_of(0).await, ["gold"], "an alias moves");
    assert_eq!(aliases_of(1).await, ["new", "prod"]);
    let again = link(&first, &["prod"]).await;
    assert_eq!(again.index, 0, "it is there already");
    assert_eq!(aliases_of(0).await, ["gold", "prod"], "aliases are added");
    assert_eq!(aliases_of(1).await, ["new"]);
    let through = VersionLink {
        collection: path.clone(),
        index: 1,
    };
    let other = CollectionPath::new(path.project.clone(), "other").unwrap();
    tracker
        .upsert_collection(&other, portfolio(true))
        .await
        .unwrap();
    let over = tracker
        .link_version(&other, &through, LinkDraft::new())
        .await
        .unwrap();
    assert_eq!(
        over.link_of,
        Some(second.clone()),
        "a link to a link is one to its target"
    );
    assert_eq!(link(&through, &[]).await.index, 1);
    let latest = tracker
        .version(path, &VersionRef::Alias("latest".to_owned()))
        .await
        .unwrap();
    assert_eq!(latest.link_of, Some(second));
    let of_source = tracker
        .version(source, &VersionRef::Alias("best".to_owned()))
        .await;
    assert_eq!(
        of_source.unwrap().index,
        1,
        "aliases of the target are its own"
    );
}

async fn places(tracker: &dyn Tracker, source: &CollectionPath) {
    if !tracker.capabilities().version_indices {
        return;
    }
    let path = CollectionPath::new("local/registry".parse().unwrap(), "places").unwrap();
    tracker
        .upsert_collection(&path, portfolio(true))
        .await
        .unwrap();
    let link = async |target, index| {
        let mut draft = LinkDraft::new();
        draft.index = index;
        let target = VersionLink {
            collection: source.clone(),
            index: target,
        };
        tracker
            .link_version(&path, &target, draft)
            .await
            .map(|v| v.index)
    };
    assert_eq!(link(0, Some(5)).await.unwrap(), 5);
    assert_eq!(kind(link(1, Some(5)).await), ErrorKind::AlreadyExists);
    assert_eq!(link(1, None).await.unwrap(), 6);
    assert_eq!(link(1, Some(9)).await.unwrap(), 6, "it stays where it is");
}

/// A target whose contents are replaced, as an import does that is repeated.
async fn replaced(tracker: &dyn Tracker) {
    let source = collection(tracker, "replaced").await;
    let path = CollectionPath::new("local/registry".parse().unwrap(), "of-replaced").unwrap();
    tracker
        .upsert_collection(&path, portfolio(true))
        .await
        .unwrap();
    let keyed = || ArtifactDraft {
        source_key: Some("key".to_owned()),
        ..draft()
    };
    let target = make(tracker, &source, keyed(), "older").await.unwrap();
    tracker
        .link_version(&path, &of(&target), LinkDraft::new())
        .await
        .unwrap();
    let target = make(tracker, &source, keyed(), "newer!").await.unwrap();
    let link = tracker.version(&path, &VersionRef::Index(0)).await.unwrap();
    assert_eq!((link.size, &link.digest), (6, &target.digest));
    assert_eq!(
        bytes(tracker.open_entry(&path, 0, "f", None).await).await,
        b"newer!"
    );
    if tracker.capabilities().version_indices {
        let moved = ArtifactDraft {
            index: Some(7),
            ..keyed()
        };
        make(tracker, &source, moved, "moved").await.unwrap();
        let link = tracker.version(&path, &VersionRef::Index(0)).await.unwrap();
        assert_eq!(
            link.link_of,
            Some(VersionLink {
                collection: source,
                index: 7
            })
        );
        assert_eq!(
            bytes(tracker.open_entry(&path, 0, "f", None).await).await,
            b"moved"
        );
    }
}
