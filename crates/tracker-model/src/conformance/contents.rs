use std::{future::Future, sync::Arc};

use super::{
    artifacts::collection,
    support::{broken_body, bytes, kind},
};
use crate::{ArtifactDraft, Content, ContentHasher, Digests, ErrorKind, Tracker, bytes_of};

/// Contents that nothing names: taken in, read, and taken into a version.
pub async fn contents<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let digests = |body: &[u8]| {
        let mut hasher = ContentHasher::new();
        hasher.update(body);
        hasher.finish()
    };
    if !tracker.capabilities().contents {
        let put = tracker.put_content(bytes_of("x")).await;
        assert_eq!(kind(put), ErrorKind::Unsupported);
        let opened = tracker.open_content(&digests(b"x"), None).await;
        assert_eq!(opened.err().map(|e| e.kind()), Some(ErrorKind::Unsupported));
        return;
    }
    let missing = async |digests: &Digests| {
        let opened = tracker.open_content(digests, None).await;
        assert_eq!(opened.err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    };
    let large: Vec<u8> = (0..3_000_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let bodies = [Vec::new(), b"small".to_vec(), large];
    for body in &bodies {
        missing(&digests(body)).await;
        // Twice is once.
        for _ in 0..2 {
            let put = tracker.put_content(bytes_of(body.clone())).await.unwrap();
            assert_eq!(put, digests(body));
        }
        let opened = tracker.open_content(&digests(body), None).await;
        assert_eq!(&bytes(opened).await, body);
    }
    for (range, wanted) in [(1..3, "ma"), (3..99, "ll"), (9..12, ""), (2..2, "")] {
        let opened = tracker.open_content(&digests(b"small"), Some(range)).await;
        assert_eq!(bytes(opened).await, wanted.as_bytes());
    }
    let other = Digests {
        md5: "0".repeat(32),
        ..digests(b"small")
    };
    missing(&other).await;
    let broken = tracker.put_content(broken_body(b"half")).await;
    assert_eq!(kind(broken), ErrorKind::Unavailable);
    missing(&digests(b"half")).await;

    if !tracker.capabilities().stored_content {
        return;
    }
    let path = collection(tracker, "of-contents").await;
    let mut writer = tracker
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap();
    for (i, body) in bodies.iter().enumerate() {
        let entry = i.to_string();
        let stored = Content::Stored(digests(body));
        writer.add(entry.as_str().into(), stored).await.unwrap();
    }
    let version = writer.commit().await.unwrap();
    assert_eq!((version.size, version.entries), (3_000_005, 3));
    for (i, body) in bodies.iter().enumerate() {
        let opened = tracker.open_entry(&path, 0, &i.to_string(), None).await;
        assert_eq!(&bytes(opened).await, body);
    }
}
