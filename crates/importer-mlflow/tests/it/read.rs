//! All that a source gives, in memory.

use std::{collections::BTreeMap, sync::Arc};

use futures::TryStreamExt;
use importer_core::{
    Finding, ImportOptions, Ledger, MemoryLedger, PointItem, PointsQuery, Receipt, RunRecord,
    RunRef, Selection, Silent, Sink, Source, SourceArtifact, SourceItem, SourceProject,
    TrackerSink,
};
use tracker_model::{JsonObject, MemoryTracker, Tracker, Values, collect_bytes};

/// Step, time and bits of a value.
pub(crate) type Point = (i64, i64, u64);

pub(crate) fn everything() -> Selection {
    let mut selection = Selection::new();
    selection.include_deleted = true;
    selection
}

pub(crate) fn split<T>(items: Vec<SourceItem<T>>) -> (Vec<T>, Vec<Finding>) {
    let (mut things, mut findings) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            SourceItem::Item(thing) => things.push(thing),
            SourceItem::Finding(finding) => findings.push(finding),
        }
    }
    (things, findings)
}

pub(crate) async fn projects(source: &dyn Source) -> (Vec<Arc<SourceProject>>, Vec<Finding>) {
    let (projects, findings) = split(source.projects(&everything()).try_collect().await.unwrap());
    (projects.into_iter().map(Arc::new).collect(), findings)
}

pub(crate) async fn runs(source: &dyn Source) -> (Vec<RunRef>, Vec<Finding>) {
    let (mut all, mut findings) = (Vec::new(), Vec::new());
    for project in projects(source).await.0 {
        let (runs, found) = split(
            source
                .runs(&project, &everything())
                .try_collect()
                .await
                .unwrap(),
        );
        all.extend(runs);
        findings.extend(found);
    }
    (all, findings)
}

/// The run with this id, with its record.
pub(crate) async fn run(source: &dyn Source, id: &str) -> (RunRef, RunRecord) {
    let run = runs(source)
        .await
        .0
        .into_iter()
        .find(|r| r.id == id)
        .unwrap();
    let record = source.run(&run).await.unwrap();
    (run, record)
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) points: BTreeMap<String, Vec<Point>>,
    pub(crate) summary: JsonObject,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) async fn history(source: &dyn Source, run: &RunRef) -> History {
    let mut out = History::default();
    let mut items = source.points(run, PointsQuery::new());
    while let Some(item) = items.try_next().await.unwrap() {
        match item {
            PointItem::Batch(batch) => {
                let Values::F64(values) = &batch.values else {
                    panic!("values are doubles")
                };
                let times = &batch.times.as_ref().unwrap().ms;
                let points = batch
                    .steps
                    .iter()
                    .zip(times)
                    .zip(values)
                    .map(|((s, t), v)| (*s, *t, v.to_bits()));
                out.points
                    .entry(batch.key.as_str().to_owned())
                    .or_default()
                    .extend(points);
            }
            PointItem::Summary(summary) => out.summary.extend(summary),
            PointItem::Finding(finding) => out.findings.push(finding),
        }
    }
    out
}

/// The files of a run with their contents.
pub(crate) async fn files(
    source: &dyn Source,
    run: &RunRef,
) -> (BTreeMap<String, Vec<u8>>, Vec<Finding>) {
    let (files, findings) = split(source.files(run).try_collect().await.unwrap());
    let mut out = BTreeMap::new();
    for file in files {
        let body = source.open_file(run, &file).await.unwrap();
        out.insert(
            file.draft.name.clone(),
            collect_bytes(body, 1 << 20).await.unwrap(),
        );
    }
    (out, findings)
}

pub(crate) async fn artifacts(source: &dyn Source) -> (Vec<SourceArtifact>, Vec<Finding>) {
    let projects = projects(source).await.0;
    split(
        source
            .artifacts(&projects, &everything())
            .try_collect()
            .await
            .unwrap(),
    )
}

/// The version with this source key.
pub(crate) async fn artifact(source: &dyn Source, key: &str) -> SourceArtifact {
    let of = |a: &SourceArtifact| a.version.as_ref().and_then(|v| v.source_key.clone());
    let all = artifacts(source).await.0;
    all.iter()
        .find(|a| of(a).as_deref() == Some(key))
        .unwrap_or_else(|| panic!("no {key} in {:?}", all.iter().map(of).collect::<Vec<_>>()))
        .clone()
}

/// The entries of a version with their contents.
pub(crate) async fn entries(
    source: &dyn Source,
    artifact: &SourceArtifact,
) -> (BTreeMap<String, Vec<u8>>, Vec<Finding>) {
    let (entries, findings) = split(source.entries(artifact).try_collect().await.unwrap());
    let mut out = BTreeMap::new();
    for entry in entries {
        let body = source.open_entry(artifact, &entry).await.unwrap();
        out.insert(
            entry.path.clone(),
            collect_bytes(body, 1 << 20).await.unwrap(),
        );
    }
    (out, findings)
}

/// Findings as `kind outcome reason`, with their counts added up.
pub(crate) fn reasons(findings: &[Finding]) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for f in findings {
        *out.entry(format!("{} {:?} {}", f.kind, f.outcome, f.reason))
            .or_default() += f.count;
    }
    out
}

/// A store to import into.
pub(crate) struct Target {
    tracker: Arc<dyn Tracker>,
    ledger: Arc<dyn Ledger>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            tracker: Arc::new(MemoryTracker::new()),
            ledger: Arc::new(MemoryLedger::new()),
        }
    }
}

impl Target {
    pub(crate) async fn import(&self, source: &Arc<dyn Source>) -> Receipt {
        let sink: Arc<dyn Sink> = Arc::new(TrackerSink::new(Arc::clone(&self.tracker)));
        let (source, ledger) = (Arc::clone(source), Arc::clone(&self.ledger));
        let (selection, options) = (Selection::new(), ImportOptions::default());
        let receipt =
            importer_core::import(source, sink, ledger, selection, options, Arc::new(Silent));
        receipt.await.unwrap()
    }
}
