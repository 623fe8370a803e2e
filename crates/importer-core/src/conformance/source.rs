use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};
use tracker_model::{
    ByteStream, ContentHasher, Digests, HistoryStream, MAX_BATCH_POINTS, MemoryTracker, RunId,
    SeriesDigest, SeriesHasher, SeriesKey, check_file_name,
};

use crate::{
    CheckOptions, EntryContent, ImportOptions, Ledger, Loss, MemoryLedger, Outcome, PointItem,
    PointsQuery, Receipt, RunRef, RunStatus, Selection, Silent, Sink, Source, SourceItem,
    SourceProject, TrackerSink, check, import,
};

/// Runs the suite on a source that does not change meanwhile.
///
/// Besides the letter of the contract it imports everything into memory, compares the two, and
/// imports again.
pub async fn source(source: Arc<dyn Source>) {
    assert!(
        !source.id().kind.is_empty() && !source.id().kind.contains([':', ' ']),
        "the kind is one word"
    );
    let selection = everything();
    let projects = projects(&*source, &selection).await;
    let runs = runs(&*source, &projects, &selection).await;
    listing(&*source, &selection, &projects, &runs).await;
    for run in &runs {
        record(&*source, run).await;
        for stream in source.capabilities().streams() {
            points(&*source, run, stream).await;
        }
        files(&*source, run).await;
    }
    selections(&*source, &runs).await;
    if source.capabilities().artifacts {
        artifacts(&*source, &projects, &selection).await;
    }
    whole(source).await;
}

fn everything() -> Selection {
    Selection {
        include_deleted: true,
        ..Selection::new()
    }
}

async fn projects(source: &dyn Source, selection: &Selection) -> Vec<Arc<SourceProject>> {
    let items: Vec<_> = source
        .projects(selection)
        .try_collect()
        .await
        .expect("projects are listed");
    let mut ids = BTreeSet::new();
    items
        .into_iter()
        .filter_map(|item| match item {
            SourceItem::Item(project) => Some(Arc::new(project)),
            SourceItem::Finding(_) => None,
        })
        .inspect(|p| assert!(ids.insert(p.id.clone()), "project {} comes once", p.id))
        .collect()
}

async fn runs(
    source: &dyn Source,
    projects: &[Arc<SourceProject>],
    selection: &Selection,
) -> Vec<RunRef> {
    let mut out = Vec::new();
    let mut ids = BTreeSet::new();
    for project in projects {
        let items: Vec<_> = source
            .runs(project, selection)
            .try_collect()
            .await
            .expect("runs are listed");
        for item in items {
            let SourceItem::Item(run) = item else {
                continue;
            };
            assert!(ids.insert(run.id.clone()), "run {} comes once", run.id);
            assert_eq!(
                run.project.id, project.id,
                "a run is listed with its project"
            );
            out.push(run);
        }
    }
    out
}

/// Listing again gives the same, and a stream may be dropped.
async fn listing(
    source: &dyn Source,
    selection: &Selection,
    projects: &[Arc<SourceProject>],
    before: &[RunRef],
) {
    for project in projects {
        drop(source.runs(project, selection).next().await);
    }
    let facts = |r: &RunRef| (r.id.clone(), r.fingerprint.clone(), r.deleted, r.ended);
    let again: BTreeSet<_> = runs(source, projects, selection)
        .await
        .iter()
        .map(facts)
        .collect();
    assert_eq!(
        again,
        before.iter().map(facts).collect(),
        "listing again gives the same runs and fingerprints"
    );
}

async fn record(source: &dyn Source, run: &RunRef) {
    let record = source.run(run).await.expect("a listed run can be read");
    assert_eq!(
        record.run.path.run,
        RunId::legalised(&run.id),
        "the run keeps its id"
    );
    assert_eq!(
        record.run.deleted, run.deleted,
        "listing and run agree on deletion"
    );
    assert_eq!(
        record.run.started_at, run.started_at,
        "listing and run agree on the start"
    );
    assert_eq!(
        record.run.state.is_terminal(),
        run.ended,
        "listing and run agree on the end"
    );
}

/// What a reading of points brought.
#[derive(Default)]
struct History {
    series: BTreeMap<SeriesKey, (u64, SeriesDigest)>,
    /// The series in the order in which they began.
    begun: Vec<SeriesKey>,
    /// The keys of the summary and the findings, with the number of series that had begun before.
    told: Vec<(usize, String)>,
}

async fn history(source: &dyn Source, run: &RunRef, query: PointsQuery) -> History {
    let in_turn = source.capabilities().series_in_turn;
    let mut all: BTreeMap<SeriesKey, SeriesHasher> = BTreeMap::new();
    let mut out = History::default();
    let mut last: Option<SeriesKey> = None;
    let mut items = source.points(run, query.clone());
    while let Some(item) = items.try_next().await.expect("points can be read") {
        let batch = match item {
            PointItem::Batch(batch) => batch,
            PointItem::Summary(part) => {
                let keys = part.into_iter().map(|(key, _)| format!("summary {key:?}"));
                out.told.extend(keys.map(|key| (out.begun.len(), key)));
                continue;
            }
            PointItem::Finding(found) => {
                out.told.push((out.begun.len(), format!("{found:?}")));
                continue;
            }
        };
        batch.check().expect("a batch is well formed");
        assert!(!batch.is_empty(), "a batch has points");
        assert!(
            batch.len() <= MAX_BATCH_POINTS,
            "a batch has at most {MAX_BATCH_POINTS} points"
        );
        assert!(
            query.wants(batch.key.as_str()),
            "series {:?} was not asked for",
            batch.key
        );
        if in_turn && last.as_ref() != Some(&batch.key) {
            assert!(
                !all.contains_key(&batch.key),
                "series {:?} comes in one piece",
                batch.key
            );
        }
        if !all.contains_key(&batch.key) {
            out.begun.push(batch.key.clone());
        }
        last = Some(batch.key.clone());
        all.entry(batch.key.clone()).or_default().update(&batch);
    }
    let digests = all
        .into_iter()
        .map(|(key, mut hasher)| (key, (hasher.count(), hasher.digest())));
    out.series = digests.collect();
    out
}

async fn points(source: &dyn Source, run: &RunRef, stream: HistoryStream) {
    let all = history(source, run, PointsQuery::of(stream)).await;
    let again = history(source, run, PointsQuery::of(stream)).await;
    assert_eq!(
        all.series, again.series,
        "reading again gives the same points"
    );
    drop(source.points(run, PointsQuery::of(stream)).next().await);
    let Some(key) = all.begun.first() else {
        return;
    };
    let only = PointsQuery {
        only: Some(BTreeSet::from([key.clone()])),
        ..PointsQuery::of(stream)
    };
    let mut rest = all.series.clone();
    let one = rest.remove(key).map(|one| (key.clone(), one));
    assert_eq!(
        history(source, run, only).await.series,
        one.into_iter().collect(),
        "one series alone is that series"
    );
    let except = PointsQuery {
        except: BTreeSet::from([key.clone()]),
        ..PointsQuery::of(stream)
    };
    let others = history(source, run, except).await;
    assert_eq!(others.series, rest, "all but one series are the others");
    if source.capabilities().series_in_turn {
        let of_others: BTreeSet<String> = others.told.into_iter().map(|(_, what)| what).collect();
        for (begun, what) in all.told {
            assert!(
                begun <= 1 || of_others.contains(&what),
                "what is told with series {key:?} comes before the next series: {what}"
            );
        }
    }
}

async fn hash(mut body: ByteStream) -> Digests {
    let mut hasher = ContentHasher::new();
    while let Some(piece) = body.try_next().await.expect("contents can be read") {
        hasher.update(&piece);
    }
    hasher.finish()
}

async fn files(source: &dyn Source, run: &RunRef) {
    let mut names = BTreeSet::new();
    let items: Vec<_> = source
        .files(run)
        .try_collect()
        .await
        .expect("files are listed");
    for item in items {
        let SourceItem::Item(file) = item else {
            continue;
        };
        check_file_name(&file.draft.name)
            .expect("a name that leaves its folder is a finding, not a file");
        assert!(
            names.insert(file.draft.name.clone()),
            "file {:?} comes once",
            file.draft.name
        );
        // One that is listed and cannot be given is a finding of the import.
        let Ok(body) = source.open_file(run, &file).await else {
            continue;
        };
        let digests = hash(body).await;
        assert!(
            file.size.is_none_or(|n| n == digests.size),
            "file {:?} has the size it is listed with",
            file.draft.name
        );
    }
}

async fn selections(source: &dyn Source, all: &[RunRef]) {
    let some = Selection::new();
    let listed = runs(source, &projects(source, &some).await, &some).await;
    let ids = |runs: &[RunRef], keep: fn(&RunRef) -> bool| -> BTreeSet<String> {
        runs.iter()
            .filter(|r| keep(r))
            .map(|r| r.id.clone())
            .collect()
    };
    let live = ids(all, |r| !r.deleted && !r.project.deleted);
    assert_eq!(
        ids(&listed, |r| !r.deleted && !r.project.deleted),
        live,
        "runs that are not deleted are always listed"
    );
    let Some(middle) = all.iter().filter_map(|r| r.started_at).max() else {
        return;
    };
    let since = Selection {
        since: Some(middle),
        ..everything()
    };
    let listed = runs(source, &projects(source, &since).await, &since).await;
    for run in all.iter().filter(|r| since.wants_run(r)) {
        assert!(
            listed.iter().any(|r| r.id == run.id),
            "run {} began late enough and is listed",
            run.id
        );
    }
}

async fn artifacts(source: &dyn Source, projects: &[Arc<SourceProject>], selection: &Selection) {
    let mut keys = BTreeSet::new();
    let items: Vec<_> = source
        .artifacts(projects, selection)
        .try_collect()
        .await
        .expect("artifacts are listed");
    for item in items {
        let SourceItem::Item(artifact) = item else {
            continue;
        };
        let Some(version) = &artifact.version else {
            continue;
        };
        let key = version
            .source_key
            .clone()
            .expect("a version has a source key");
        assert!(keys.insert(key.clone()), "version {key} comes once");
        let entries: Vec<_> = source
            .entries(&artifact)
            .try_collect()
            .await
            .expect("entries are listed");
        for item in entries {
            let SourceItem::Item(entry) = item else {
                continue;
            };
            if matches!(entry.content, EntryContent::Reference(_)) {
                continue;
            }
            let Ok(body) = source.open_entry(&artifact, &entry).await else {
                continue;
            };
            let digests = hash(body).await;
            assert!(
                entry.size.is_none_or(|n| n == digests.size),
                "entry {:?} has the size it is listed with",
                entry.path
            );
        }
    }
}

/// All of it arrives, is the same, and is left alone the second time.
async fn whole(source: Arc<dyn Source>) {
    let sink: Arc<dyn Sink> = Arc::new(TrackerSink::new(Arc::new(MemoryTracker::new())));
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let again = || {
        import(
            Arc::clone(&source),
            Arc::clone(&sink),
            Arc::clone(&ledger),
            everything(),
            ImportOptions::default(),
            Arc::new(Silent),
        )
    };
    let first = again().await.expect("the source can be imported");
    receipt(&first);
    assert_eq!(first.failures, [], "nothing fails");
    let options = CheckOptions::default();
    let report = check(
        Arc::clone(&source),
        Arc::clone(&sink),
        Arc::clone(&ledger),
        everything(),
        options,
        Arc::new(Silent),
    )
    .await
    .expect("source and target can be compared");
    let unread = first
        .losses
        .iter()
        .any(|l| l.outcome == Outcome::Unreadable);
    if !unread {
        let wrong: Vec<_> = report
            .runs
            .iter()
            .chain(&report.artifacts)
            .filter(|r| !r.differences.is_empty())
            .collect();
        assert!(
            report.is_same(),
            "the target is the same as the source: {wrong:?} {:?}",
            report.failures
        );
    }
    let second = again().await.expect("the source can be imported again");
    receipt(&second);
    for run in &second.runs {
        assert_eq!(
            run.status,
            RunStatus::Unchanged,
            "run {} is left alone the second time",
            run.source_id
        );
        let before = first
            .runs
            .iter()
            .find(|r| r.source_id == run.source_id)
            .expect("the same runs");
        assert_eq!(
            run.checksums, before.checksums,
            "the checksums of run {} stay",
            run.source_id
        );
    }
    for (kind, bucket) in first.totals.iter() {
        assert_eq!(
            second.totals.get(kind).source(),
            bucket.source(),
            "the source has as many {kind} the second time"
        );
    }
}

/// Checks a receipt: what is counted as lost or unreadable has a reason and a place.
pub fn receipt(receipt: &Receipt) {
    for (kind, bucket) in receipt.totals.iter() {
        for (outcome, count) in [
            (Outcome::Lost, bucket.lost),
            (Outcome::Unreadable, bucket.unreadable),
        ] {
            let of_it = |l: &&Loss| l.kind == kind && l.outcome == outcome;
            let losses: Vec<_> = receipt.losses.iter().filter(of_it).collect();
            assert_eq!(
                losses.iter().map(|l| l.count).sum::<u64>(),
                count,
                "all {kind} that are {outcome:?} have a reason: {losses:?}"
            );
            assert!(
                losses.iter().all(|l| !l.places.is_empty()),
                "all {kind} that are {outcome:?} have a place: {losses:?}"
            );
        }
    }
}
