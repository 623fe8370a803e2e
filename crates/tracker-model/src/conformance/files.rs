use std::{future::Future, sync::Arc};

use futures::{StreamExt, future::Either};

use super::support::{
    Random, broken_body, bytes, kind, list, list_kind, new_run, run_path, turns, upsert,
};
use crate::{
    ByteStream, ContentHasher, ErrorKind, FileDraft, FileInfo, RunPatch, Timestamp, Tracker,
    bytes_of,
};

/// Files of runs: any name, any size, seen only whole.
pub async fn files<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    odd_names(tracker).await;
    refused_names(tracker).await;
    sizes(tracker).await;
    ranges(tracker).await;
    overwriting(tracker).await;
    many_files(tracker).await;
    missing(tracker).await;
}

/// Names that some file system, shell, URL or database treats in its own way.
pub(super) const ODD_NAMES: [&str; 38] = [
    "plain.txt",
    "a/b",
    "a/b.txt",
    "a/B",
    "A/b",
    "a.b/c",
    "dir/sub dir/ü 实验 \u{1f600}.json",
    ".hidden",
    "a/.hidden",
    "...",
    "a/...",
    "..a",
    "a..",
    "back\\slash",
    "..\\up",
    "C:\\x",
    "C:",
    "%",
    "%2e%2e",
    "a%2Fb",
    "q?x=1&y#z",
    "'quotes\"",
    "`$(id)`",
    "*",
    "[a-z]",
    "{x}",
    "~",
    "-rf",
    " leading",
    "trailing ",
    "trailing.",
    "CON",
    "nul.txt",
    "new\nline",
    "tab\t",
    "e\u{301}",
    "\u{e9}",
    "\u{202e}gpj.exe",
];

/// Names that would leave their folder, or mean nothing.
pub(super) const REFUSED_NAMES: [&str; 16] = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../up",
    "a/..",
    "a/../b",
    "a/../../up",
    ".",
    "./a",
    "a/.",
    "a//b",
    "a/",
    "//a",
    "nul\0",
    "a/b/../../../c",
];

async fn put(
    tracker: &dyn Tracker,
    run: &crate::RunPath,
    name: &str,
    body: impl Into<bytes::Bytes>,
) -> FileInfo {
    tracker
        .put_file(run, FileDraft::new(name), bytes_of(body))
        .await
        .expect("the file is put")
}

async fn odd_names(tracker: &dyn Tracker) {
    let run = new_run(tracker, "odd-names").await;
    let other = new_run(tracker, "odd-names-2").await;
    let long = format!("{}/{}", "d".repeat(250), "\u{5b9e}".repeat(80));
    let mut names: Vec<&str> = ODD_NAMES.into_iter().chain([long.as_str()]).collect();
    for name in &names {
        let info = put(tracker, &run, name, format!("contents of {name}")).await;
        assert_eq!(info.name, *name);
    }
    put(tracker, &other, "plain.txt", "of the other run").await;
    names.sort_unstable();
    let listed = list(tracker.files(&run)).await;
    assert_eq!(
        listed.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        names,
        "the files by name"
    );
    for (file, name) in listed.iter().zip(&names) {
        let there = bytes(tracker.open_file(&run, name, None).await).await;
        assert_eq!(
            String::from_utf8(there).unwrap(),
            format!("contents of {name}")
        );
        let mut hasher = ContentHasher::new();
        hasher.update(format!("contents of {name}").as_bytes());
        assert_eq!(file.digests, hasher.finish(), "the digests of {name:?}");
    }
    tracker.delete_file(&run, "a/b").await.unwrap();
    assert_eq!(
        kind(tracker.open_file(&run, "a/b", None).await.map(drop)),
        ErrorKind::NotFound
    );
    assert_eq!(
        list(tracker.files(&run)).await.len(),
        names.len() - 1,
        "one file is deleted, no other"
    );
    assert_eq!(
        bytes(tracker.open_file(&other, "plain.txt", None).await).await,
        b"of the other run"
    );
}

async fn refused_names(tracker: &dyn Tracker) {
    let run = new_run(tracker, "refused-names").await;
    let long = "x".repeat(4_097);
    for name in REFUSED_NAMES.into_iter().chain([long.as_str()]) {
        let refused = tracker
            .put_file(&run, FileDraft::new(name), bytes_of("x"))
            .await;
        assert_eq!(
            kind(refused),
            ErrorKind::InvalidInput,
            "the name {name:.20?}"
        );
    }
    assert!(list(tracker.files(&run)).await.is_empty());
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| random.below(256) as u8).collect()
}

/// A body in pieces of many sizes, the empty one too.
fn pieces(body: &[u8]) -> ByteStream {
    let (mut pieces, mut rest, mut random) = (Vec::new(), body, Random(3));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(random.below(100_000) as usize));
        pieces.push(Ok(bytes::Bytes::copy_from_slice(piece)));
        rest = after;
    }
    futures::stream::iter(pieces).boxed()
}

async fn sizes(tracker: &dyn Tracker) {
    let run = new_run(tracker, "sizes").await;
    for size in [0, 1, 4_095, 4_096, 65_537, 300_000, 3_000_000] {
        let (name, body) = (format!("of/{size}"), noise(size, size as u64));
        let draft = FileDraft {
            modified_at: Some(Timestamp::from_parts(1_700_000_000_000, 5)),
            extras: [("k".to_owned(), serde_json::json!([1]))]
                .into_iter()
                .collect(),
            ..FileDraft::new(&name)
        };
        let info = tracker
            .put_file(&run, draft.clone(), pieces(&body))
            .await
            .unwrap();
        assert_eq!(
            (info.digests.size, info.modified_at),
            (size as u64, draft.modified_at)
        );
        assert_eq!(info.extras, draft.extras);
        assert!(
            bytes(tracker.open_file(&run, &name, None).await).await == body,
            "{size} bytes come back"
        );
        let listed = list(tracker.files(&run)).await;
        assert!(listed.contains(&info), "what was answered is listed");
    }
    // Without a single piece.
    let none = futures::stream::empty().boxed();
    let info = tracker
        .put_file(&run, FileDraft::new("nothing"), none)
        .await
        .unwrap();
    assert_eq!(info.digests, ContentHasher::new().finish());
    assert!(
        bytes(tracker.open_file(&run, "nothing", None).await)
            .await
            .is_empty()
    );
}

async fn ranges(tracker: &dyn Tracker) {
    let run = new_run(tracker, "ranges").await;
    for size in [0_u64, 10, 200_000] {
        let body = noise(usize::try_from(size).unwrap(), 9);
        put(tracker, &run, "f", body.clone()).await;
        for (start, end) in [
            (0, size),
            (0, 0),
            (0, 1),
            (1, 2),
            (3, size + 5),
            (size, size + 1),
            (size + 7, u64::MAX),
            (0, u64::MAX),
            (size / 2, size / 2 + 3),
            (70_000, 140_000),
            (u64::MAX, u64::MAX),
        ] {
            let clip = |at: u64| usize::try_from(at.min(size)).unwrap();
            let there = bytes(tracker.open_file(&run, "f", Some(start..end)).await).await;
            assert!(
                there == body[clip(start)..clip(end)],
                "bytes {start} to {end} of {size}"
            );
        }
    }
}

async fn overwriting(tracker: &dyn Tracker) {
    let run = new_run(tracker, "overwriting").await;
    let old = noise(100_000, 1);
    let first = put(tracker, &run, "f", old.clone()).await;
    let mut reading = tracker.open_file(&run, "f", None).await.unwrap();
    for piece in [&b"new"[..], b""] {
        let broken = tracker
            .put_file(&run, FileDraft::new("f"), broken_body(piece))
            .await;
        assert_eq!(
            kind(broken),
            ErrorKind::Unavailable,
            "the error of the body"
        );
        let broken = tracker
            .put_file(&run, FileDraft::new("g"), broken_body(piece))
            .await;
        assert_eq!(kind(broken), ErrorKind::Unavailable);
    }
    assert_eq!(
        list(tracker.files(&run)).await,
        [first],
        "a body that fails leaves the old file, and makes none"
    );
    assert!(bytes(tracker.open_file(&run, "f", None).await).await == old);

    let second = put(tracker, &run, "f", "shorter").await;
    assert_eq!(list(tracker.files(&run)).await, [second]);
    assert_eq!(
        bytes(tracker.open_file(&run, "f", None).await).await,
        b"shorter"
    );
    // Who began to read the old contents reads them to the end, or is told that they are gone.
    let mut there = Vec::new();
    while let Some(piece) = reading.next().await {
        match piece {
            Ok(piece) => there.extend_from_slice(&piece),
            Err(e) => {
                assert!(
                    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict),
                    "{e:?}"
                );
                there.clone_from(&old);
            }
        }
    }
    assert!(there == old, "never a mixture");
    // Equal contents under two names are two files.
    put(tracker, &run, "copy", "shorter").await;
    tracker.delete_file(&run, "f").await.unwrap();
    assert_eq!(
        bytes(tracker.open_file(&run, "copy", None).await).await,
        b"shorter"
    );
    // A body that is dropped before its end leaves nothing either.
    let endless = futures::stream::repeat_with(|| Ok(bytes::Bytes::from_static(b"x")))
        .take(3)
        .chain(futures::stream::pending())
        .boxed();
    let put = tracker.put_file(&run, FileDraft::new("endless"), endless);
    let ended = futures::future::select(put, Box::pin(turns(100))).await;
    assert!(matches!(ended, Either::Right(_)), "the body has no end");
    assert_eq!(
        list(tracker.files(&run)).await.len(),
        1,
        "a call that was dropped makes no file"
    );
}

async fn many_files(tracker: &dyn Tracker) {
    let run = new_run(tracker, "many-files").await;
    let name = |i: usize| format!("dir{}/f{i:04}", i % 7);
    for i in 0..600 {
        put(tracker, &run, &name(i), name(i)).await;
    }
    let mut wanted: Vec<String> = (0..600).map(name).collect();
    wanted.sort_unstable();
    let names: Vec<String> = list(tracker.files(&run))
        .await
        .into_iter()
        .map(|f| f.name)
        .collect();
    assert_eq!(names, wanted, "many files by name");
}

async fn missing(tracker: &dyn Tracker) {
    let run = run_path("missing");
    let put_there = tracker
        .put_file(&run, FileDraft::new("f"), bytes_of("x"))
        .await;
    assert_eq!(kind(put_there), ErrorKind::NotFound);
    assert_eq!(list_kind(tracker.files(&run)).await, ErrorKind::NotFound);
    assert_eq!(
        kind(tracker.open_file(&run, "f", None).await.map(drop)),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.delete_file(&run, "f").await),
        ErrorKind::NotFound
    );
    let run = new_run(tracker, "no-files").await;
    assert!(list(tracker.files(&run)).await.is_empty());
    for name in ["f", "../f", "/etc/passwd", ""] {
        let opened = tracker.open_file(&run, name, None).await.map(drop);
        assert!(
            matches!(kind(opened), ErrorKind::NotFound | ErrorKind::InvalidInput),
            "{name:?}"
        );
        let deleted = tracker.delete_file(&run, name).await;
        assert!(
            matches!(kind(deleted), ErrorKind::NotFound | ErrorKind::InvalidInput),
            "{name:?}"
        );
    }
    put(tracker, &run, "f", "x").await;
    tracker.delete_run(&run).await.unwrap();
    assert_eq!(
        kind(tracker.open_file(&run, "f", None).await.map(drop)),
        ErrorKind::NotFound
    );
    upsert(tracker, &run, RunPatch::new()).await;
    assert!(
        list(tracker.files(&run)).await.is_empty(),
        "a new run has no old files"
    );
}
