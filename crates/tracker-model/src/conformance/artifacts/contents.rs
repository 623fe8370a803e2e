use super::{collection, digests, draft, make, of_bytes};
use crate::{
    ArtifactDraft, Content, EntryDraft, ErrorKind, FileDraft, Tracker, bytes_of,
    conformance::{
        files::{ODD_NAMES, REFUSED_NAMES},
        support::{broken_body, bytes, kind, list, new_run},
    },
};

pub(super) async fn contents(tracker: &dyn Tracker) {
    let path = collection(tracker, "contents").await;
    let mut writer = tracker.artifact_writer(&path, draft()).await.unwrap();
    for name in REFUSED_NAMES {
        assert_eq!(
            kind(writer.add((*name).into(), of_bytes("x")).await),
            ErrorKind::InvalidInput,
            "the path {name:?}"
        );
    }
    for name in ODD_NAMES.iter().rev() {
        let entry = writer
            .add((*name).into(), Content::Bytes(bytes_of((*name).to_owned())))
            .await
            .unwrap();
        assert_eq!(entry.path, *name);
        assert_eq!(entry.digests, Some(digests(name)));
    }
    assert_eq!(
        kind(writer.add("plain.txt".into(), of_bytes("other")).await),
        ErrorKind::InvalidInput,
        "a path twice"
    );
    let broken = writer
        .add("broken".into(), Content::Bytes(broken_body(b"half")))
        .await;
    assert_eq!(
        kind(broken),
        ErrorKind::Unavailable,
        "the error of the body"
    );
    let reference = writer
        .add(
            "ref/erence".into(),
            Content::Reference("https://host/x".to_owned()),
        )
        .await
        .unwrap();
    assert_eq!(
        (reference.digests, reference.reference.as_deref()),
        (None, Some("https://host/x"))
    );
    let mut entry = EntryDraft::new("empty");
    let extras = serde_json::json!({ "wandb": { "birthArtifactID": "x", "local": null } });
    entry.extras = extras.as_object().cloned().unwrap();
    let empty = writer.add(entry, of_bytes("")).await.unwrap();
    assert_eq!(serde_json::Value::Object(empty.extras.clone()), extras);
    let version = writer.commit().await.unwrap();
    let size: u64 = ODD_NAMES.iter().map(|name| name.len() as u64).sum();
    assert_eq!(
        (version.size, version.entries),
        (size, ODD_NAMES.len() as u64 + 2)
    );

    let entries = list(tracker.manifest(&path, 0)).await;
    assert_eq!(entries.len() as u64, version.entries);
    assert!(
        entries.is_sorted_by(|a, b| a.path < b.path),
        "the entries by path"
    );
    assert!(entries.contains(&empty), "extras are kept");
    for entry in &entries {
        let alone = tracker.entry(&path, 0, &entry.path).await.unwrap();
        assert_eq!(alone, *entry, "an entry by its path");
        let opened = tracker.open_entry(&path, 0, &entry.path, None).await;
        if entry.reference.is_some() {
            assert_eq!(
                kind(opened.map(drop)),
                ErrorKind::Unsupported,
                "a reference has no contents here"
            );
            continue;
        }
        let wanted = if entry.path == "empty" {
            ""
        } else {
            &entry.path
        };
        assert_eq!(entry.digests, Some(digests(wanted)));
        assert_eq!(bytes(opened).await, wanted.as_bytes());
    }
    for (range, wanted) in [(2..5, "ain"), (6..100, "txt"), (9..10, ""), (50..60, "")] {
        assert_eq!(
            bytes(tracker.open_entry(&path, 0, "plain.txt", Some(range)).await).await,
            wanted.as_bytes()
        );
    }
    for absent in ["no such file", "plain", "broken", "../x"] {
        let opened = tracker.open_entry(&path, 0, absent, None).await.map(drop);
        assert!(
            matches!(kind(opened), ErrorKind::NotFound | ErrorKind::InvalidInput),
            "{absent:?}"
        );
        let entry = tracker.entry(&path, 0, absent).await;
        assert_eq!(kind(entry), ErrorKind::NotFound, "{absent:?}");
    }

    // The same contents, in another order and collection, have the same digest.
    let mut made = Vec::new();
    for names in [["a", "b"], ["b", "a"], ["a", "c"]] {
        let mut writer = tracker.artifact_writer(&path, draft()).await.unwrap();
        for name in names {
            // What is said of an entry is no part of the digest.
            let mut entry = EntryDraft::new(name);
            let place = serde_json::json!({ "place": made.len() });
            entry.extras = place.as_object().cloned().unwrap();
            writer.add(entry, of_bytes("x")).await.unwrap();
        }
        made.push(writer.commit().await.unwrap().digest);
    }
    assert_eq!(made[0], made[1]);
    assert_ne!(made[0], made[2]);
    assert_ne!(
        make(tracker, &path, draft(), "x").await.unwrap().digest,
        make(tracker, &path, draft(), "y").await.unwrap().digest
    );

    // More entries than a page holds.
    let mut writer = tracker
        .artifact_writer(
            &path,
            ArtifactDraft {
                aliases: vec!["many".to_owned()],
                ..draft()
            },
        )
        .await
        .unwrap();
    for i in 0..1_500 {
        writer
            .add(
                EntryDraft::new(format!("d{}/{i}", i % 10)),
                Content::Bytes(bytes_of(format!("{}", i % 100))),
            )
            .await
            .unwrap();
    }
    let many = writer.commit().await.unwrap();
    let entries = list(tracker.manifest(&path, many.index)).await;
    assert_eq!(entries.len(), 1_500);
    assert!(entries.is_sorted_by(|a, b| a.path < b.path));
}

pub(super) async fn stored_contents(tracker: &dyn Tracker) {
    let path = collection(tracker, "stored").await;
    let run = new_run(tracker, "stored").await;
    tracker
        .put_file(&run, FileDraft::new("f"), bytes_of("of a file"))
        .await
        .unwrap();
    make(tracker, &path, draft(), "of an artifact")
        .await
        .unwrap();
    let mut writer = tracker.artifact_writer(&path, draft()).await.unwrap();
    let stored = writer
        .add("a".into(), Content::Stored(digests("of a file")))
        .await;
    if !tracker.capabilities().stored_content {
        assert_eq!(kind(stored), ErrorKind::Unsupported);
        return;
    }
    assert_eq!(stored.unwrap().digests, Some(digests("of a file")));
    writer
        .add("b".into(), Content::Stored(digests("of an artifact")))
        .await
        .unwrap();
    assert_eq!(
        kind(
            writer
                .add("c".into(), Content::Stored(digests("of nobody")))
                .await
        ),
        ErrorKind::NotFound
    );
    let version = writer.commit().await.unwrap();
    assert_eq!((version.size, version.entries), (23, 2));
    tracker.delete_file(&run, "f").await.unwrap();
    tracker.delete_run(&run).await.unwrap();
    assert_eq!(
        bytes(tracker.open_entry(&path, version.index, "a", None).await).await,
        b"of a file",
        "it is kept"
    );
    assert_eq!(
        bytes(tracker.open_entry(&path, version.index, "b", None).await).await,
        b"of an artifact"
    );
}
