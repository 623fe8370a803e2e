//! Versions that stand for others, and what sources say beside the model, from tracker to tracker.

use std::sync::{Arc, atomic::Ordering};

use futures::TryStreamExt;
use importer_core::{
    CheckOptions, ImportOptions, Kind, Ledger, MemoryLedger, Outcome, Receipt, Selection, Silent,
    Sink, TrackerSink, TrackerSource, Verdict, check, import,
};
use tracker_model::{
    ArtifactContents, ArtifactDraft, ArtifactStore, ArtifactVersion, CollectionPatch,
    CollectionPath, CollectionStore, Content, EntryDraft, JsonObject, LinkDraft, LogLine, LogStore,
    MemoryTracker, Precondition, RunPatch, RunStore, VersionLink, VersionRef, bytes_of,
};

use crate::{counting::CountingSink, receipt::balanced};

fn path(project: &str, name: &str) -> CollectionPath {
    CollectionPath::new(project.parse().unwrap(), name).unwrap()
}

fn extras(text: &str) -> JsonObject {
    let extras = serde_json::json!({ "wandb": { "digest": text } });
    extras.as_object().cloned().unwrap()
}

/// The versions of a model, some of them linked from a project whose name comes before.
async fn registry() -> MemoryTracker {
    let tracker = MemoryTracker::new();
    let (model, portfolio) = (path("local/p", "m"), path("local/a", "best"));
    for (path, is_portfolio) in [(&model, false), (&portfolio, true)] {
        let mut patch = CollectionPatch::new();
        patch.portfolio = Some(is_portfolio);
        tracker.upsert_collection(path, patch).await.unwrap();
    }
    for index in [1, 4] {
        let mut draft = ArtifactDraft::new();
        draft.index = Some(index);
        draft.extras = extras("of the version");
        let mut writer = tracker.artifact_writer(&model, draft).await.unwrap();
        let mut entry = EntryDraft::new("weights");
        entry.extras = extras("of the entry");
        let body = Content::Bytes(bytes_of(index.to_string()));
        writer.add(entry, body).await.unwrap();
        writer.commit().await.unwrap();
        let mut link = LinkDraft::new().with_aliases([format!("best-{index}")]);
        link.index = Some(2 * index);
        let target = VersionLink {
            collection: model.clone(),
            index,
        };
        tracker
            .link_version(&portfolio, &target, link)
            .await
            .unwrap();
    }
    tracker
}

struct Copy {
    from: Arc<MemoryTracker>,
    to: Arc<MemoryTracker>,
    sink: Arc<CountingSink>,
    ledger: Arc<dyn Ledger>,
}

impl Copy {
    fn new(from: MemoryTracker) -> Self {
        let to = Arc::new(MemoryTracker::new());
        let sink = TrackerSink::new(to.clone());
        Self {
            from: Arc::new(from),
            to,
            sink: Arc::new(CountingSink::new(Arc::new(sink))),
            ledger: Arc::new(MemoryLedger::new()),
        }
    }

    async fn import(&self) -> Receipt {
        let source = Arc::new(TrackerSource::new(self.from.clone()));
        let sink: Arc<dyn Sink> = self.sink.clone();
        let (selection, options) = (Selection::new(), ImportOptions::default());
        let receipt = import(
            source,
            sink,
            self.ledger.clone(),
            selection,
            options,
            Arc::new(Silent),
        );
        let receipt = receipt.await.unwrap();
        balanced(&receipt);
        receipt
    }

    /// The verdicts on versions that are not the same.
    async fn differences(&self) -> Vec<Verdict> {
        let source = Arc::new(TrackerSource::new(self.from.clone()));
        let sink: Arc<dyn Sink> = self.sink.clone();
        let (selection, options) = (Selection::new(), CheckOptions::default());
        let report = check(
            source,
            sink,
            self.ledger.clone(),
            selection,
            options,
            Arc::new(Silent),
        );
        let report = report.await.unwrap();
        report
            .artifacts
            .into_iter()
            .map(|line| line.verdict)
            .collect()
    }
}

async fn versions(tracker: &MemoryTracker, path: &CollectionPath) -> Vec<ArtifactVersion> {
    tracker.versions(path).try_collect().await.unwrap()
}

#[tokio::test]
async fn links_and_extras_arrive_as_they_are() {
    let copy = Copy::new(registry().await);
    let receipt = copy.import().await;
    assert_eq!(receipt.losses, []);
    assert_eq!(receipt.totals.get(Kind::Artifacts).identical, 4);
    assert_eq!(receipt.totals.get(Kind::Entries).identical, 2);
    for path in [path("local/p", "m"), path("local/a", "best")] {
        let there = copy.to.collection(&path).await.unwrap();
        assert_eq!(there, copy.from.collection(&path).await.unwrap());
        let same = |mut versions: Vec<ArtifactVersion>| {
            versions.iter_mut().for_each(|v| v.source_key = None);
            versions
        };
        let wanted = same(versions(&copy.from, &path).await);
        assert_eq!(wanted.len(), 2);
        assert_eq!(same(versions(&copy.to, &path).await), wanted);
        let entries: Vec<_> = copy
            .to
            .manifest(&path, wanted[0].index)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(entries[0].extras, extras("of the entry"));
    }
    assert_eq!(copy.differences().await, []);

    let again = copy.import().await;
    let artifacts = again.totals.get(Kind::Artifacts);
    assert_eq!((artifacts.identical, artifacts.skipped), (0, 4));
    let best = path("local/a", "best");
    assert_eq!(versions(&copy.to, &best).await.len(), 2);
    copy.to.delete_version(&best, 8).await.unwrap();
    assert_eq!(copy.differences().await, [Verdict::Missing]);
}

#[tokio::test]
async fn what_links_cannot_be_is_told() {
    let copy = Copy::new(registry().await);
    copy.sink.has_no_links.store(true, Ordering::Relaxed);
    let receipt = copy.import().await;
    let artifacts = receipt.totals.get(Kind::Artifacts);
    assert_eq!((artifacts.identical, artifacts.lost), (2, 2));
    let best = path("local/a", "best");
    assert!(!copy.to.collection(&best).await.unwrap().portfolio);
    assert!(versions(&copy.to, &best).await.is_empty());

    // What is linked was not imported.
    let copy = Copy::new(registry().await);
    let mut selection = Selection::new();
    selection = selection.with_projects(["a"]).unwrap();
    let source = Arc::new(TrackerSource::new(copy.from.clone()));
    let sink: Arc<dyn Sink> = copy.sink.clone();
    let options = ImportOptions::default();
    let receipt = import(
        source,
        sink,
        copy.ledger.clone(),
        selection,
        options,
        Arc::new(Silent),
    );
    let receipt = receipt.await.unwrap();
    assert_eq!(receipt.totals.get(Kind::Artifacts).lost, 2);
    let missing = copy.to.version(&best, &VersionRef::Index(2)).await;
    assert!(missing.is_err());
}

#[tokio::test]
async fn a_log_that_is_not_carried_is_told() {
    let tracker = MemoryTracker::new();
    for name in ["local/p/silent", "local/p/loud"] {
        let run = name.parse().unwrap();
        let patch = RunPatch::new();
        tracker
            .upsert_run(&run, patch, Precondition::None)
            .await
            .unwrap();
    }
    let loud = "local/p/loud".parse().unwrap();
    tracker
        .write_log(&loud, vec![LogLine::new(0, "x")])
        .await
        .unwrap();
    let receipt = Copy::new(tracker).import().await;
    assert_eq!(receipt.totals.get(Kind::Files).lost, 1);
    let places: Vec<_> = receipt.losses.iter().map(|l| l.outcome).collect();
    assert_eq!(places, [Outcome::Lost]);
}
