use futures::StreamExt;
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath,
    CollectionStore, Content, EntryDraft, ErrorKind, FileDraft, FileStore, bytes_of, collect_bytes,
};

use crate::support::{all, run, store, with_run};

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

#[tokio::test]
async fn contents_of_all_sizes_in_all_pieces() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    for size in [0, 1, 16 << 10, (16 << 10) + 1, 100_000, 3_000_000] {
        let body = bytes(size);
        let name = format!("a/b c/{size}.bin");
        let pieces: Vec<_> = body.chunks(70_001).map(|c| Ok(c.to_vec().into())).collect();
        let info = place
            .store
            .put_file(
                &run,
                FileDraft::new(&name),
                futures::stream::iter(pieces).boxed(),
            )
            .await
            .unwrap();
        assert_eq!(info.digests.size, size as u64);
        assert_eq!(
            info.digests.blake3,
            blake3::hash(&body).to_hex().to_string()
        );
        let read = |range| place.store.open_file(&run, &name, range);
        assert_eq!(
            collect_bytes(read(None).await.unwrap(), usize::MAX)
                .await
                .unwrap(),
            body
        );
        let (from, to) = (size / 3, size / 2);
        let part = read(Some(from as u64..to as u64)).await.unwrap();
        assert_eq!(
            collect_bytes(part, usize::MAX).await.unwrap(),
            body[from..to]
        );
        let past = read(Some(from as u64..u64::MAX)).await.unwrap();
        assert_eq!(collect_bytes(past, usize::MAX).await.unwrap(), body[from..]);
    }
    assert_eq!(all(place.store.files(&run)).await.len(), 6);
    // The same contents again take no room.
    place
        .store
        .put_file(&run, FileDraft::new("again"), bytes_of(bytes(3_000_000)))
        .await
        .unwrap();
    let blobs = std::fs::read_dir(place.dir.path().join("blobs")).unwrap();
    let count: usize = blobs
        .map(|d| std::fs::read_dir(d.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(count, 3);
    assert_eq!(
        std::fs::read_dir(place.dir.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_failing_stream_leaves_nothing() {
    let place = store().await;
    let run = with_run(&place.store, "local/p/r").await;
    let broken = |n: usize| {
        let e = tracker_model::Error::new(ErrorKind::Unavailable, "cut off");
        futures::stream::iter([Ok(bytes(n).into()), Err(e)]).boxed()
    };
    for n in [10, 2_000_000] {
        let e = place
            .store
            .put_file(&run, FileDraft::new("f"), broken(n))
            .await
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unavailable);
    }
    assert!(all(place.store.files(&run)).await.is_empty());
    assert_eq!(
        std::fs::read_dir(place.dir.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn names_never_leave_the_store() {
    let place = store().await;
    let path = with_run(&place.store, "local/p/r").await;
    for name in ["../x", "/etc/passwd", "a/../../b", "a//b", "", "a\0b"] {
        let e = place
            .store
            .put_file(&path, FileDraft::new(name), bytes_of("x"))
            .await
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    let e = place
        .store
        .put_file(&run("local/p/none"), FileDraft::new("a"), bytes_of("x"))
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_artifact_of_many_entries() {
    let place = store().await;
    let project = run("local/p/r").project_path();
    let path = CollectionPath::new(project, "mödel: v/1").unwrap();
    let e = place
        .store
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    place
        .store
        .upsert_collection(&path, CollectionPatch::new())
        .await
        .unwrap();
    let mut writer = place
        .store
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap();
    for i in 0..1200usize {
        let size = if i % 400 == 0 { 50_000 } else { i % 17 };
        writer
            .add(
                EntryDraft::new(format!("d/{i:05}")),
                Content::Bytes(bytes_of(bytes(size))),
            )
            .await
            .unwrap();
    }
    let again = writer
        .add("d/00001".into(), Content::Bytes(bytes_of("x")))
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput);
    let stored = writer
        .add("same".into(), Content::Bytes(bytes_of(bytes(50_000))))
        .await
        .unwrap()
        .digests
        .unwrap();
    writer
        .add("stored".into(), Content::Stored(stored.clone()))
        .await
        .unwrap();
    writer
        .add("ref".into(), Content::Reference("s3://b/k".into()))
        .await
        .unwrap();
    let mut unknown = stored;
    unknown.blake3 = "0".repeat(64);
    let e = writer
        .add("unknown".into(), Content::Stored(unknown))
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(all(place.store.versions(&path)).await.is_empty());
    let version = writer.commit().await.unwrap();
    assert_eq!((version.index, version.entries), (0, 1203));
    let entries = all(place.store.manifest(&path, 0)).await;
    assert_eq!(entries.len(), 1203);
    assert!(entries.is_sorted_by(|a, b| a.path < b.path));
    let body = place
        .store
        .open_entry(&path, 0, "d/00400", Some(10..20))
        .await
        .unwrap();
    assert_eq!(
        collect_bytes(body, 100).await.unwrap(),
        bytes(50_000)[10..20]
    );
    let e = place
        .store
        .open_entry(&path, 0, "ref", None)
        .await
        .err()
        .unwrap();
    assert_eq!(e.kind(), ErrorKind::Unsupported);

    // The same contents in another order have the same digest.
    let mut writer = place
        .store
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap();
    for entry in entries.iter().rev() {
        let content = match &entry.reference {
            Some(url) => Content::Reference(url.clone()),
            None => Content::Stored(entry.digests.clone().unwrap()),
        };
        writer
            .add(EntryDraft::new(&entry.path), content)
            .await
            .unwrap();
    }
    let second = writer.commit().await.unwrap();
    assert_eq!((second.index, second.digest), (1, version.digest));
    assert_eq!(
        std::fs::read_dir(place.dir.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
}
