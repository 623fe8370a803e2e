use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tracker_model::{
    Error, ErrorKind, HistoryStream, ImportStamp, JsonObject, Result, Run, RunPath,
};

use super::{
    account::{Account, Told},
    files,
    job::{Job, files_of},
    points, verify,
};
use crate::{
    Failure, Finding, Kind, KindSet, LedgerEntry, LedgerKey, RunLine, RunRecord, RunRef, RunStatus,
    SourceId,
};

/// The words of the kinds that are wanted, so that an import of more kinds knows what is missing.
fn words_of(kinds: &KindSet) -> String {
    Kind::ALL
        .into_iter()
        .filter(|k| kinds.contains(*k))
        .map(Kind::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether an import of the kinds `had` looked at all of the kinds `wanted`.
fn covers(had: &str, wanted: &str) -> bool {
    let had: BTreeSet<&str> = had.split(' ').collect();
    wanted.split(' ').all(|kind| had.contains(kind))
}

/// A run that was listed, and what rules changed of it in the listing.
pub(super) struct Todo {
    pub(super) run: RunRef,
    pub(super) changes: Vec<Finding>,
    /// What the ledger says of it, where it was asked.
    entry: Option<LedgerEntry>,
}

/// Of runs that were listed, those that are to be worked on, and the lines of the others: an
/// earlier import has done all of them, and they have not changed. Asks for many at once.
pub(super) async fn sort_out(
    job: &Job,
    listed: Vec<(RunRef, Vec<Finding>)>,
) -> (Vec<RunLine>, Vec<Todo>) {
    let todo = |((run, changes), entry)| Todo {
        run,
        changes,
        entry,
    };
    let nothing_known = std::iter::repeat_with(|| None);
    if !job.options.incremental {
        let todo = listed.into_iter().zip(nothing_known).map(todo);
        return (Vec::new(), todo.collect());
    }
    // Who cannot be asked about many runs is asked about each, which then fails by itself.
    let keys: Vec<LedgerKey> = listed.iter().map(|(run, _)| key_of(run)).collect();
    let entries = job.ledger.entries(job.source.id(), &keys).await;
    let Ok(entries) = entries else {
        let todo = listed.into_iter().zip(nothing_known).map(todo);
        return (Vec::new(), todo.collect());
    };
    let kinds = words_of(&job.selection.kinds);
    let exact = job.source.capabilities().exact_fingerprints;
    let mut settled = Vec::new();
    for ((run, _), entry) in listed.iter().zip(&entries) {
        let target = job.target(run).await.ok().zip(entry.as_ref());
        settled.push(target.and_then(|(target, entry)| {
            let same = entry.target == target.to_string() && entry.fingerprint == run.fingerprint;
            let all = entry.done && covers(&entry.kinds, &kinds);
            (same && all && (run.ended || exact)).then_some(target)
        }));
    }
    let there: Vec<RunPath> = settled.iter().flatten().cloned().collect();
    let stamps = match there.is_empty() {
        true => Vec::new(),
        false => job.sink.stamps(&there).await.unwrap_or_default(),
    };
    let mut stamps = stamps.into_iter();
    let (mut lines, mut left) = (Vec::new(), Vec::new());
    for ((listed, entry), target) in listed.into_iter().zip(entries).zip(settled) {
        let arrived = target.filter(|_| {
            let stamp = stamps.next().flatten();
            stamp.is_some_and(|s| s.complete && is_of(&s, job.source.id(), &listed.0))
        });
        match (arrived, entry) {
            (Some(target), Some(entry)) => lines.push(RunLine {
                source_id: listed.0.id,
                target,
                status: RunStatus::Unchanged,
                checksums: entry.checksums,
                counts: Told::unchanged(&entry.tally)
                    .only(&job.selection.kinds)
                    .counts,
            }),
            (_, entry) => left.push(todo((listed, Some(entry.unwrap_or_default())))),
        }
    }
    (lines, left)
}

fn key_of(run: &RunRef) -> LedgerKey {
    LedgerKey::Run(run.id.clone())
}

/// Imports one run.
pub(super) async fn import(job: &Job, todo: Todo) -> Result<(RunLine, Vec<Finding>)> {
    let Todo {
        run,
        changes,
        entry,
    } = todo;
    let run = &run;
    let path = job.target(run).await?;
    let key = key_of(run);
    let kinds = words_of(&job.selection.kinds);
    let entry = match entry {
        Some(entry) => entry,
        None => {
            let entry = job.ledger.entry(job.source.id(), &key).await?;
            entry.unwrap_or_default()
        }
    };
    let there = job.sink.run(&path).await?;
    if let Some(there) = &there {
        check_origin(job.source.id(), run, there)?;
    }
    let arrived = there
        .as_ref()
        .and_then(|r| r.import.as_ref())
        .is_some_and(|stamp| stamp.complete);
    let record = job.source.run(run).await?;
    let mut account = count_record(job, &record);
    account.found_all(changes);
    if job.options.dry_run {
        let status = RunStatus::Planned;
        let Told { counts, findings } = account.only(&job.selection.kinds).close();
        return Ok((
            RunLine {
                source_id: run.id.clone(),
                target: path,
                status,
                checksums: None,
                counts,
            },
            findings,
        ));
    }
    let stamp = ImportStamp {
        source: job.source.id().to_string(),
        run: run.id.clone(),
        complete: true,
        fingerprint: run.fingerprint.clone(),
    };
    let mut whole = finished_run(
        job.source.id(),
        &job.selection.kinds,
        there.as_ref(),
        path.clone(),
        &record,
        Some(stamp),
    );
    let mut writer = job
        .sink
        .open_run(&whole, there.as_ref(), &run.fingerprint)
        .await?;

    let (mut sent, mut changed) = (BTreeMap::new(), false);
    if job.selection.kinds.contains(Kind::Points) {
        let unfinished = LedgerEntry {
            target: path.to_string(),
            fingerprint: run.fingerprint.clone(),
            ..LedgerEntry::default()
        };
        let same = entry.target == unfinished.target && entry.fingerprint == unfinished.fingerprint;
        let resume = points::Resume {
            key: key.clone(),
            left: (!entry.done && same).then_some(&entry),
            unfinished,
        };
        for stream in job.source.capabilities().streams() {
            // System metrics are not so many that the ledger would have to know them.
            let resume = (stream == HistoryStream::Metrics).then_some(&resume);
            let history = writer.history(stream).await?;
            let copied = points::copy(job, run, stream, history, resume).await?;
            copied.count(&mut account);
            account.found_all(copied.findings);
            whole.summary.extend(copied.summary);
            changed |= copied.changed;
            sent.insert(stream, copied.series);
        }
        account.arrived(Kind::Summary, whole.summary.len() as u64);
    }

    let copied_files = if job.selection.kinds.contains(Kind::Files) {
        let there = match &there {
            Some(there) => files_of(&*job.sink, there).await?,
            None => BTreeMap::new(),
        };
        files::copy(job, run, &*writer, &there).await?
    } else {
        files::CopiedFiles::default()
    };
    copied_files.count(&mut account);

    let was_there = arrived;
    changed |= copied_files.changed || there.as_ref().is_none_or(|now| !same_facts(now, &whole));
    writer.commit(whole.clone()).await?;
    let checksums = verify::run(job, &whole, &sent, &copied_files.files).await?;

    account.found_all(copied_files.findings);
    let account = account.only(&job.selection.kinds);
    let Told { counts, findings } = account.close_as(!changed);
    let entry = LedgerEntry {
        target: path.to_string(),
        fingerprint: run.fingerprint.clone(),
        done: true,
        kinds,
        tally: counts.clone(),
        checksums: checksums.clone(),
        ..LedgerEntry::default()
    };
    job.ledger.settle(job.source.id(), &key, entry).await?;
    let status = match (was_there, changed) {
        (false, _) => RunStatus::Imported,
        (true, true) => RunStatus::Updated,
        (true, false) => RunStatus::Unchanged,
    };
    Ok((
        RunLine {
            source_id: run.id.clone(),
            target: path,
            status,
            checksums,
            counts,
        },
        findings,
    ))
}

/// The line of a run that failed. What it has is counted by the import that succeeds.
pub(super) async fn failed(job: &Job, run: &RunRef, failure: Failure) -> (RunLine, Vec<Finding>) {
    let target = match job.target(run).await {
        Ok(path) => path,
        Err(_) => fallback_path(run),
    };
    let told = Told::from(Finding::unreadable(
        Kind::Runs,
        format!("run {}", run.id),
        "the run failed, see failures",
    ));
    let key = key_of(run);
    let before = job
        .ledger
        .entry(job.source.id(), &key)
        .await
        .ok()
        .flatten()
        .unwrap_or_default();
    let entry = LedgerEntry {
        done: false,
        failure: Some(failure),
        ..before
    };
    // The ledger may be what failed; the run is then simply done again.
    drop(job.ledger.settle(job.source.id(), &key, entry).await);
    let line = RunLine {
        source_id: run.id.clone(),
        target,
        status: RunStatus::Failed,
        checksums: None,
        counts: told.counts,
    };
    (line, told.findings)
}

fn fallback_path(run: &RunRef) -> RunPath {
    use tracker_model::{EntityName, ProjectName, RunId};
    RunPath::new(
        EntityName::legalised("local"),
        ProjectName::legalised(&run.project.name),
        RunId::legalised(&run.id),
    )
}

/// Whether a stamp is of a run of this source.
fn is_of(stamp: &ImportStamp, source: &SourceId, run: &RunRef) -> bool {
    stamp.run == run.id && stamp.source.split(':').next() == Some(&source.kind)
}

/// Refuses to write over a run that is something else.
fn check_origin(source: &SourceId, run: &RunRef, there: &Run) -> Result<()> {
    match &there.import {
        Some(stamp) if is_of(stamp, source, run) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "run {} exists in the target and is not this run of {source}",
                there.path
            ),
        )
        .with_hint("import into another place with --namespace or --map")),
    }
}

/// The run as the target shall have it. Of kinds that are not wanted it keeps what is there.
pub(crate) fn finished_run(
    source: &SourceId,
    kinds: &KindSet,
    there: Option<&Run>,
    path: RunPath,
    record: &RunRecord,
    stamp: Option<ImportStamp>,
) -> Run {
    let mut run = record.run.clone();
    run.path = path;
    run.import = stamp;
    let tags = if kinds.contains(Kind::Tags) {
        let text = |(k, v): (&String, &String)| (k.clone(), v.as_str().into());
        (!record.tags.is_empty()).then(|| Json::Object(record.tags.iter().map(text).collect()))
    } else {
        let extras = there.and_then(|there| there.extras.get(&source.kind));
        extras.and_then(|extras| extras.get("tags")).cloned()
    };
    if let Some(tags) = tags {
        let extras = run
            .extras
            .entry(source.kind.clone())
            .or_insert_with(|| Json::Object(JsonObject::new()));
        if let Json::Object(extras) = extras {
            extras.insert("tags".to_owned(), tags);
        }
    }
    if !kinds.contains(Kind::Params) {
        run.config = there.map(|there| there.config.clone()).unwrap_or_default();
    }
    if !kinds.contains(Kind::Points) {
        run.summary = there.map(|there| there.summary.clone()).unwrap_or_default();
    }
    if !kinds.contains(Kind::Inputs) {
        run.inputs = there.map(|there| there.inputs.clone()).unwrap_or_default();
    }
    run
}

fn count_record(job: &Job, record: &RunRecord) -> Account {
    let mut account = Account::default();
    account.arrived(Kind::Runs, 1);
    for (kind, count) in [
        (Kind::Params, record.run.config.len()),
        (Kind::Tags, record.tags.len()),
        (Kind::Inputs, record.run.inputs.len()),
    ] {
        if job.selection.kinds.contains(kind) {
            account.arrived(kind, count as u64);
        }
    }
    account.found_all(record.findings.iter().cloned());
    account
}

/// Whether two runs say the same, their imports and versions aside.
fn same_facts(a: &Run, b: &Run) -> bool {
    let plain = |run: &Run| Run {
        import: None,
        version: 0,
        ..run.clone()
    };
    plain(a) == plain(b)
}
