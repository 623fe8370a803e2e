use std::{collections::BTreeSet, future::Future, sync::Arc};

use super::support::{bytes, check_history, list, ramp, upsert, write};
use crate::{
    EntityName, FileDraft, ProjectName, RunId, RunPatch, RunPath, RunQuery, Tracker, bytes_of,
};

/// Names that are legal and that some file system, shell or database treats in its own way.
const ODD_NAMES: [&str; 34] = [
    "a",
    "A",
    "a.",
    ".a",
    "...",
    "a b",
    "a  b",
    "-",
    "--help",
    "~",
    "$HOME",
    "`id`",
    "'",
    "\"",
    "''",
    "*",
    "[a]",
    "{a}",
    "a|b",
    "<a>",
    "a&b",
    "a=b",
    "a,b",
    "a;b",
    "@",
    "+",
    "CON",
    "nul",
    "con.txt",
    "ünï",
    "u\u{308}ni\u{308}",
    "实验 \u{1f600}",
    "_",
    "null",
];

/// Addresses: what differs in any name is a thing of its own.
pub async fn names<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let long = "\u{5b9e}".repeat(512);
    let mut paths: Vec<RunPath> = Vec::new();
    for name in ODD_NAMES.into_iter().chain([long.as_str()]) {
        let run = |e: &str, p: &str, r: &str| {
            RunPath::new(
                EntityName::new(e).unwrap(),
                ProjectName::new(p).unwrap(),
                RunId::new(r).unwrap(),
            )
        };
        paths.extend([
            run(name, "p", "r"),
            run("e", name, "r"),
            run("e", "p", name),
        ]);
    }
    for (i, path) in paths.iter().enumerate() {
        let text = path.to_string();
        upsert(tracker, path, RunPatch::new().with_name(&text)).await;
        let i = i as i64;
        write(tracker, path, &[("x", 0, ramp(i, i + 2))]).await;
        tracker
            .put_file(path, FileDraft::new("f"), bytes_of(text))
            .await
            .unwrap();
    }
    for (i, path) in paths.iter().enumerate() {
        let text = path.to_string();
        assert_eq!(
            tracker.run(path).await.unwrap().name.as_deref(),
            Some(text.as_str())
        );
        let i = i as i64;
        check_history(tracker, path, [("x", ramp(i, i + 2))]).await;
        assert_eq!(
            bytes(tracker.open_file(path, "f", None).await).await,
            text.as_bytes()
        );
        let query = RunQuery::of_project(&path.project_path()).with_run(path.run.clone());
        let found = list(tracker.find_runs(query)).await;
        assert!(
            found.iter().map(|run| &run.path).eq([path]),
            "the run {path} by its names"
        );
    }
    let found: BTreeSet<RunPath> = list(tracker.find_runs(RunQuery::new()))
        .await
        .into_iter()
        .map(|r| r.path)
        .collect();
    assert_eq!(found, paths.iter().cloned().collect());
    let projects: BTreeSet<_> = list(tracker.projects(None))
        .await
        .into_iter()
        .map(|p| p.path)
        .collect();
    assert_eq!(projects, paths.iter().map(RunPath::project_path).collect());
    // Deleting one leaves those that differ from it by little.
    tracker.delete_run(&paths[0]).await.unwrap();
    for path in &paths[1..] {
        assert_eq!(
            bytes(tracker.open_file(path, "f", None).await).await,
            path.to_string().as_bytes()
        );
    }
}
