mod contents;
mod names;

use std::{future::Future, sync::Arc};

use super::support::{kind, list, list_kind};
use crate::{
    ArtifactDraft, ArtifactVersion, Change, CollectionPatch, CollectionPath, Content,
    ContentHasher, Digests, ErrorKind, JsonPatch, Result, Timestamp, Tracker, VersionPatch,
    VersionRef, bytes_of,
};

/// Artifacts: collections, versions with gaps, aliases, contents, references, drafts that vanish.
pub async fn artifacts<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    collections(tracker).await;
    names::names(tracker).await;
    every_field(tracker).await;
    indices(tracker).await;
    aliases(tracker).await;
    source_keys(tracker).await;
    contents::contents(tracker).await;
    contents::stored_contents(tracker).await;
    drafts(tracker).await;
    missing(tracker).await;
}

fn path(name: &str) -> CollectionPath {
    CollectionPath::new("local/artifacts".parse().unwrap(), name).unwrap()
}

pub(super) async fn collection(tracker: &dyn Tracker, name: &str) -> CollectionPath {
    let path = path(name);
    tracker
        .upsert_collection(&path, CollectionPatch::new())
        .await
        .expect("the collection is made");
    path
}

fn of_bytes(body: &'static str) -> Content {
    Content::Bytes(bytes_of(body))
}

fn digests(body: &str) -> Digests {
    let mut hasher = ContentHasher::new();
    hasher.update(body.as_bytes());
    hasher.finish()
}

/// Makes a version with one small file.
pub(super) async fn make(
    tracker: &dyn Tracker,
    path: &CollectionPath,
    draft: ArtifactDraft,
    body: &'static str,
) -> Result<ArtifactVersion> {
    let mut writer = tracker.artifact_writer(path, draft).await?;
    writer.add("f".into(), of_bytes(body)).await?;
    writer.commit().await
}

fn draft() -> ArtifactDraft {
    ArtifactDraft::new()
}

async fn collections(tracker: &dyn Tracker) {
    let mut patch = CollectionPatch::new();
    patch.kind = Some("model".to_owned());
    patch.description = Change::Set("d\u{1f600}".to_owned());
    patch.created_at = Some(Timestamp::from_parts(-5, 6));
    patch.updated_at = Change::Set(Timestamp::from_millis(9));
    let extras = serde_json::json!({ "tags": { "a": "b" } });
    patch.extras = JsonPatch::Replace(extras.as_object().cloned().unwrap());
    let made = tracker.upsert_collection(&path("m"), patch).await.unwrap();
    assert_eq!(
        (made.kind.as_str(), made.description.as_deref()),
        ("model", Some("d\u{1f600}"))
    );
    assert_eq!(
        (made.created_at, made.updated_at),
        (
            Timestamp::from_parts(-5, 6),
            Some(Timestamp::from_millis(9))
        )
    );
    assert_eq!(serde_json::Value::Object(made.extras.clone()), extras);
    tracker
        .project(&path("m").project)
        .await
        .expect("the project is made with it");
    let mut patch = CollectionPatch::new();
    patch.description = Change::Clear;
    let changed = tracker.upsert_collection(&path("m"), patch).await.unwrap();
    assert_eq!(
        changed,
        crate::Collection {
            description: None,
            ..made
        },
        "what a change does not name stays"
    );
    let plain = tracker
        .upsert_collection(&path("a"), CollectionPatch::new())
        .await
        .unwrap();
    assert_eq!(plain.kind, "artifact");
    let mut names = vec!["a", "m"];
    for name in [
        "A",
        "a/b",
        "%",
        "..",
        ".",
        " ",
        "ü 实验",
        "'\"",
        "a:b",
        "v1",
        "latest",
    ] {
        collection(tracker, name).await;
        names.push(name);
    }
    names.sort_unstable();
    let listed = list(tracker.collections(&path("a").project)).await;
    assert_eq!(
        listed
            .iter()
            .map(|c| c.path.name.as_str())
            .collect::<Vec<_>>(),
        names,
        "the collections by name"
    );
    assert!(listed.contains(&changed));
    assert!(list(tracker.versions(&path("m"))).await.is_empty());
}

async fn every_field(tracker: &dyn Tracker) {
    let path = collection(tracker, "every-field").await;
    let metadata = serde_json::json!({ "n": i64::MIN, "x": 0.1, "deep": [{ "": null }] });
    let extras = serde_json::json!({ "wandb": { "digest": "x", "n": 1.0 } });
    let draft = ArtifactDraft {
        index: None,
        aliases: vec!["prod".to_owned(), "ü 1".to_owned()],
        tags: vec!["t".to_owned(), "s".to_owned()],
        description: Some("text".to_owned()),
        metadata: metadata.as_object().cloned().unwrap(),
        ttl_seconds: Some(3_600),
        created_at: Some(Timestamp::from_parts(1_700_000_000_000, 1)),
        logged_by: Some("other/project/run".parse().unwrap()),
        source_key: None,
        extras: extras.as_object().cloned().unwrap(),
    };
    let mut writer = tracker.artifact_writer(&path, draft.clone()).await.unwrap();
    writer.add("z".into(), of_bytes("1234")).await.unwrap();
    writer
        .add(
            "a".into(),
            Content::Reference("s3://bucket/a?x=1".to_owned()),
        )
        .await
        .unwrap();
    let made = writer.commit().await.unwrap();
    assert_eq!((made.index, made.size, made.entries), (0, 4, 2));
    assert_eq!(made.collection, path);
    assert_eq!(sorted(&made.aliases), ["prod", "ü 1"]);
    assert_eq!(made.tags, draft.tags);
    assert_eq!(
        (made.description.clone(), made.metadata.clone()),
        (draft.description, draft.metadata)
    );
    assert_eq!(
        (made.ttl_seconds, made.logged_by.clone()),
        (draft.ttl_seconds, draft.logged_by)
    );
    assert_eq!(made.created_at, Timestamp::from_parts(1_700_000_000_000, 1));
    assert_eq!((&made.extras, &made.link_of), (&draft.extras, &None));
    assert_eq!(
        tracker.version(&path, &VersionRef::Index(0)).await.unwrap(),
        made,
        "what was answered is there"
    );
    assert_eq!(
        list(tracker.versions(&path)).await,
        std::slice::from_ref(&made),
        "and is listed"
    );

    let before = Timestamp::now();
    let plain = tracker
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    assert_eq!(
        (plain.index, plain.size, plain.entries),
        (1, 0, 0),
        "a version without files"
    );
    assert!(plain.created_at >= before && plain.created_at <= Timestamp::now());
    assert!(list(tracker.manifest(&path, 1)).await.is_empty());

    let mut patch = VersionPatch::new();
    patch.description = Change::Set("other".to_owned());
    patch.metadata = JsonPatch::Merge {
        set: crate::JsonObject::new(),
        remove: vec!["x".to_owned()],
    };
    let changed = tracker.update_version(&path, 0, patch).await.unwrap();
    let mut wanted = made;
    wanted.description = Some("other".to_owned());
    wanted.metadata.remove("x");
    assert_eq!(changed, wanted, "what a change does not name stays");
    let mut patch = VersionPatch::new();
    patch.tags = Some(Vec::new());
    patch.aliases = Some(vec!["new".to_owned()]);
    let changed = tracker.update_version(&path, 0, patch).await.unwrap();
    (wanted.tags, wanted.aliases) = (Vec::new(), vec!["new".to_owned()]);
    assert_eq!(changed, wanted);
    assert_eq!(
        tracker.version(&path, &VersionRef::Index(0)).await.unwrap(),
        wanted
    );
    assert_eq!(
        kind(tracker.update_version(&path, 9, VersionPatch::new()).await),
        ErrorKind::NotFound
    );
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn indices(tracker: &dyn Tracker) {
    if !tracker.capabilities().version_indices {
        return;
    }
    let path = collection(tracker, "indices").await;
    let at = |index| ArtifactDraft { index, ..draft() };
    for (wanted, index) in [
        (5, Some(5)),
        (6, None),
        (2, Some(2)),
        (7, None),
        (1_000_000, Some(1_000_000)),
        (1_000_001, None),
    ] {
        assert_eq!(
            make(tracker, &path, at(index), "x").await.unwrap().index,
            wanted
        );
    }
    assert_eq!(
        kind(make(tracker, &path, at(Some(5)), "x").await),
        ErrorKind::AlreadyExists
    );
    let keyed = ArtifactDraft {
        source_key: Some("k".to_owned()),
        ..at(Some(2))
    };
    assert_eq!(
        kind(make(tracker, &path, keyed, "x").await),
        ErrorKind::AlreadyExists
    );
    let listed: Vec<u64> = list(tracker.versions(&path))
        .await
        .iter()
        .map(|v| v.index)
        .collect();
    assert_eq!(
        listed,
        [2, 5, 6, 7, 1_000_000, 1_000_001],
        "the versions by index, gaps kept"
    );
    assert_eq!(
        kind(tracker.version(&path, &VersionRef::Index(3)).await),
        ErrorKind::NotFound,
        "a gap"
    );
}

async fn aliases(tracker: &dyn Tracker) {
    let path = collection(tracker, "aliases").await;
    let with = |names: &[&str]| ArtifactDraft {
        aliases: names.iter().map(|n| (*n).to_owned()).collect(),
        ..draft()
    };
    let of = |alias: &str| {
        let alias = VersionRef::Alias(alias.to_owned());
        let path = path.clone();
        async move { tracker.version(&path, &alias).await.map(|v| v.index) }
    };
    assert_eq!(
        kind(of("latest").await),
        ErrorKind::NotFound,
        "no version is the latest"
    );
    make(tracker, &path, with(&["a", "b", "a"]), "0")
        .await
        .unwrap();
    make(tracker, &path, with(&["b", "c"]), "1").await.unwrap();
    make(tracker, &path, with(&[]), "2").await.unwrap();
    let all = |versions: Vec<ArtifactVersion>| {
        versions
            .iter()
            .map(|v| sorted(&v.aliases).join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        all(list(tracker.versions(&path)).await),
        ["a", "b c", ""],
        "an alias moves to the new version"
    );
    for (alias, index) in [("a", 0), ("b", 1), ("c", 1), ("latest", 2)] {
        assert_eq!(of(alias).await.unwrap(), index, "the alias {alias}");
    }
    assert_eq!(kind(of("A").await), ErrorKind::NotFound);
    let mut patch = VersionPatch::new();
    patch.aliases = Some(vec!["c".to_owned(), "latest".to_owned()]);
    tracker.update_version(&path, 0, patch).await.unwrap();
    assert_eq!(
        all(list(tracker.versions(&path)).await),
        ["c latest", "b", ""],
        "an alias moves by a change"
    );
    assert_eq!(
        of("latest").await.unwrap(),
        0,
        "an alias of its own goes before the highest index"
    );
    assert_eq!(
        kind(of("a").await),
        ErrorKind::NotFound,
        "an alias that was taken away"
    );
    // Those of another collection stay where they are.
    let other = collection(tracker, "aliases-2").await;
    make(tracker, &other, with(&["b", "c"]), "x").await.unwrap();
    assert_eq!(
        all(list(tracker.versions(&path)).await),
        ["c latest", "b", ""]
    );
}

async fn source_keys(tracker: &dyn Tracker) {
    let path = collection(tracker, "source-keys").await;
    let keyed = |key: &str| ArtifactDraft {
        source_key: Some(key.to_owned()),
        ..draft()
    };
    let first = make(
        tracker,
        &path,
        ArtifactDraft {
            aliases: vec!["x".to_owned()],
            ..keyed("k")
        },
        "old",
    )
    .await
    .unwrap();
    make(tracker, &path, keyed("other"), "old").await.unwrap();
    make(tracker, &path, draft(), "old").await.unwrap();
    let again = ArtifactDraft {
        description: Some("d".to_owned()),
        ..keyed("k")
    };
    let mut writer = tracker.artifact_writer(&path, again.clone()).await.unwrap();
    writer.add("g".into(), of_bytes("newer")).await.unwrap();
    let second = writer.commit().await.unwrap();
    assert_eq!(
        (second.index, second.source_key.as_deref()),
        (first.index, Some("k"))
    );
    assert_eq!((second.size, second.entries), (5, 1));
    assert_eq!(
        (second.description.as_deref(), second.aliases.len()),
        (Some("d"), 0)
    );
    assert_ne!(second.digest, first.digest);
    let versions = list(tracker.versions(&path)).await;
    assert_eq!(
        versions.len(),
        3,
        "the same key twice is one version, no key is a new one"
    );
    assert_eq!(versions[0], second);
    let names: Vec<String> = list(tracker.manifest(&path, first.index))
        .await
        .into_iter()
        .map(|e| e.path)
        .collect();
    assert_eq!(names, ["g"], "the contents are those of the second");
    if tracker.capabilities().version_indices {
        let same = ArtifactDraft {
            index: Some(first.index),
            ..again
        };
        assert_eq!(
            make(tracker, &path, same, "x").await.unwrap().index,
            first.index,
            "its own index is not taken"
        );
    }
    let other = collection(tracker, "source-keys-2").await;
    make(tracker, &other, keyed("k"), "x").await.unwrap();
    assert_eq!(
        list(tracker.versions(&path)).await.len(),
        3,
        "a key is of one collection"
    );
}

async fn drafts(tracker: &dyn Tracker) {
    let path = collection(tracker, "drafts").await;
    make(
        tracker,
        &path,
        ArtifactDraft {
            aliases: vec!["a".to_owned()],
            ..draft()
        },
        "x",
    )
    .await
    .unwrap();
    let steal = ArtifactDraft {
        aliases: vec!["a".to_owned()],
        source_key: Some("k".to_owned()),
        ..draft()
    };
    let mut writer = tracker.artifact_writer(&path, steal.clone()).await.unwrap();
    writer.add("f".into(), of_bytes("y")).await.unwrap();
    assert_eq!(
        list(tracker.versions(&path)).await.len(),
        1,
        "a draft is not seen"
    );
    assert_eq!(
        tracker
            .version(&path, &VersionRef::Alias("a".to_owned()))
            .await
            .unwrap()
            .index,
        0
    );
    drop(writer);
    assert_eq!(
        list(tracker.versions(&path)).await.len(),
        1,
        "a draft that was dropped leaves nothing"
    );
    assert_eq!(
        kind(tracker.version(&path, &VersionRef::Index(1)).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        make(tracker, &path, steal, "y").await.unwrap().index,
        1,
        "nor does it take an index"
    );
}

async fn missing(tracker: &dyn Tracker) {
    let absent = path("absent");
    assert_eq!(
        kind(tracker.artifact_writer(&absent, draft()).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.version(&absent, &VersionRef::Index(0)).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(
            tracker
                .update_version(&absent, 0, VersionPatch::new())
                .await
        ),
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.versions(&absent)).await,
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.manifest(&absent, 0)).await,
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.open_entry(&absent, 0, "f", None).await.map(drop)),
        ErrorKind::NotFound
    );
    assert_eq!(
        list_kind(tracker.collections(&"no/such".parse().unwrap())).await,
        ErrorKind::NotFound
    );
    let path = collection(tracker, "no-versions").await;
    assert_eq!(
        list_kind(tracker.manifest(&path, 0)).await,
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.open_entry(&path, 0, "f", None).await.map(drop)),
        ErrorKind::NotFound
    );
}
