use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt};
use tracker_model::{
    ArtifactUse, ArtifactVersion, ArtifactWriter, CollectionPath, Content, Error, ErrorKind,
    Result, check_file_name,
};

use super::{
    files::{may_help, name_problem, watched},
    job::Job,
};
use crate::{
    EntryContent, Event, Finding, Kind, LedgerEntry, LedgerKey, SourceArtifact, SourceEntry,
    SourceItem, SourceProject, Tally,
};

/// Imports all artifacts. What fails is named, and the rest goes on.
pub(super) async fn copy(job: &Job, projects: &[Arc<SourceProject>]) {
    // Versions of one collection come in order and stay in order: one after the other.
    let counted = Mutex::new(BTreeSet::new());
    let mut artifacts = job.source.artifacts(projects, &job.selection);
    loop {
        if job.stopped() {
            return;
        }
        let artifact = match artifacts.try_next().await {
            Ok(None) => return,
            Ok(Some(SourceItem::Item(artifact))) => artifact,
            Ok(Some(SourceItem::Finding(finding))) => {
                let mut tally = Tally::new();
                tally.found(&finding);
                job.count(&tally, &[finding]);
                continue;
            }
            Err(e) => {
                job.failed("the listing of artifacts", &e);
                return;
            }
        };
        if !wanted(job, &artifact) {
            continue;
        }
        match one(job, &artifact, &counted).await {
            Ok((tally, findings)) => job.count(&tally, &findings),
            Err(e) => {
                let name = format!(
                    "artifact {:?} {}",
                    artifact.collection,
                    source_key(&artifact).unwrap_or_default()
                );
                job.failed(name.clone(), &e);
                let finding =
                    Finding::unreadable(Kind::Artifacts, name, "the artifact failed, see failures");
                let mut tally = Tally::new();
                tally.found(&finding);
                job.count(&tally, &[finding]);
            }
        }
        job.observer.on(&Event::Artifacts(1));
    }
}

/// How many traces a version holds, one on each line.
fn traces(job: &Job, artifact: &SourceArtifact) -> Option<u64> {
    let metadata = &artifact.version.as_ref()?.metadata;
    metadata.get(&job.source.id().kind)?.get("traces")?.as_u64()
}

fn wanted(job: &Job, artifact: &SourceArtifact) -> bool {
    let kind = if traces(job, artifact).is_some() {
        Kind::Traces
    } else {
        Kind::Artifacts
    };
    job.selection.kinds.contains(kind)
}

fn source_key(artifact: &SourceArtifact) -> Option<&str> {
    artifact.version.as_ref()?.source_key.as_deref()
}

async fn one(
    job: &Job,
    artifact: &SourceArtifact,
    counted: &Mutex<BTreeSet<CollectionPath>>,
) -> Result<(Tally, Vec<Finding>)> {
    let project = match &artifact.project {
        Some(project) => job.targets.project(&project.id, &project.name).await?,
        None => job.targets.extra_project(&artifact.project_name)?,
    };
    let path = CollectionPath::new(project, &artifact.collection)?;
    let new_collection = counted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(path.clone());
    let key = LedgerKey::Artifact(
        source_key(artifact).map_or_else(|| format!("collection:{path}"), ToOwned::to_owned),
    );
    let entry = job
        .ledger
        .entry(job.source.id(), &key)
        .await?
        .unwrap_or_default();
    let (mut tally, mut findings) = (Tally::new(), Vec::new());
    if new_collection {
        tally.arrived(Kind::Collections, 1);
    }
    let same =
        entry.done && entry.target == path.to_string() && entry.fingerprint == artifact.fingerprint;
    if job.options.incremental
        && same
        && artifact.immutable
        && still_there(job, artifact, &path).await?
    {
        tally.add(&entry.tally);
        return Ok((tally.as_skipped(), Vec::new()));
    }
    let mut own = Tally::new();
    if job.options.dry_run {
        tally.arrived(Kind::Artifacts, u64::from(artifact.version.is_some()));
        tally.arrived(Kind::Traces, traces(job, artifact).unwrap_or(0));
        return Ok((tally, findings));
    }
    job.sink
        .put_collection(&path, artifact.patch.clone())
        .await?;
    if let Some(draft) = &artifact.version {
        let mut draft = draft.clone();
        if let Some(run) = &artifact.logged_by {
            draft.logged_by = job.targets.imported_run(run).await?;
        }
        let before = match source_key(artifact) {
            Some(key) => job.sink.version_by_key(&path, key).await?,
            None => None,
        };
        let mut writer = job.sink.open_version(&path, draft).await?;
        entries(job, artifact, &mut *writer, &mut own, &mut findings).await?;
        let version = writer.commit().await?;
        verify(job, &path, &version, own.get(Kind::Entries).identical).await?;
        lineage(job, artifact, &path, &version, &mut own, &mut findings).await?;
        own.arrived(Kind::Artifacts, 1);
        own.arrived(Kind::Traces, traces(job, artifact).unwrap_or(0));
        findings.iter().for_each(|f| own.found(f));
        if before.as_ref() == Some(&version) {
            own = own.as_skipped();
            findings.clear();
        }
    }
    tally.add(&own);
    let entry = LedgerEntry {
        target: path.to_string(),
        fingerprint: artifact.fingerprint.clone(),
        done: true,
        tally: own,
        ..LedgerEntry::default()
    };
    job.ledger.settle(job.source.id(), &key, entry).await?;
    Ok((tally, findings))
}

async fn still_there(job: &Job, artifact: &SourceArtifact, path: &CollectionPath) -> Result<bool> {
    match source_key(artifact) {
        Some(key) => Ok(job.sink.version_by_key(path, key).await?.is_some()),
        None => Ok(true),
    }
}

async fn entries(
    job: &Job,
    artifact: &SourceArtifact,
    writer: &mut dyn ArtifactWriter,
    tally: &mut Tally,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut entries = job.source.entries(artifact);
    while let Some(item) = entries.try_next().await? {
        let entry = match item {
            SourceItem::Item(entry) => entry,
            SourceItem::Finding(finding) => {
                findings.push(finding);
                continue;
            }
        };
        let place = format!("artifact {:?}, {:?}", artifact.collection, entry.path);
        if let Err(e) = check_file_name(&entry.path) {
            findings.push(Finding::lost(Kind::Entries, place, name_problem(&e)));
            continue;
        }
        if let EntryContent::Reference(url) = &entry.content {
            writer
                .add(&entry.path, Content::Reference(url.clone()))
                .await?;
            tally.arrived(Kind::Entries, 1);
            continue;
        }
        if let Some(content) = stored(job, &entry).await? {
            match writer.add(&entry.path, content).await {
                Ok(made) => {
                    tally.arrived(Kind::Entries, 1);
                    tally.arrived(Kind::Bytes, made.digests.map_or(0, |d| d.size));
                    continue;
                }
                // It was deleted meanwhile: read it from the source.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let body = match job.source.open_entry(artifact, &entry).await {
            Ok(body) => body,
            Err(e) if may_help(&e) => return Err(e.context(format_args!("read {place}"))),
            Err(e) => {
                findings.push(Finding::unreadable(Kind::Entries, place, e.message()));
                continue;
            }
        };
        let (body, failure) = watched(job, body, entry.size);
        match writer.add(&entry.path, Content::Bytes(body)).await {
            Ok(made) => {
                tally.arrived(Kind::Entries, 1);
                tally.arrived(Kind::Bytes, made.digests.map_or(0, |d| d.size));
            }
            Err(e) => match failure.take() {
                Some(e) if may_help(&e) => return Err(e.context(format_args!("read {place}"))),
                Some(e) => findings.push(Finding::unreadable(Kind::Entries, place, e.message())),
                None => return Err(e.context(format_args!("write {place}"))),
            },
        }
    }
    Ok(())
}

/// The contents of an entry that is a file of a run which was imported.
async fn stored(job: &Job, entry: &SourceEntry) -> Result<Option<Content>> {
    let EntryContent::RunFile { run, name, .. } = &entry.content else {
        return Ok(None);
    };
    if !job.sink.capabilities().stored_content {
        return Ok(None);
    }
    let Some(path) = job.targets.imported_run(run).await? else {
        return Ok(None);
    };
    let mut files = job.sink.files(&path);
    while let Some(file) = files.try_next().await? {
        if file.name == *name {
            return Ok(Some(Content::Stored(file.digests)));
        }
    }
    Ok(None)
}

async fn verify(
    job: &Job,
    path: &CollectionPath,
    version: &ArtifactVersion,
    entries: u64,
) -> Result<()> {
    if !job.sink.capabilities().read_back {
        return Ok(());
    }
    let there = job
        .sink
        .manifest(path, version.index)
        .map_ok(|_| 1)
        .boxed()
        .try_fold(0, |a, b| async move { Ok(a + b) });
    if there.await? == entries {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        format!(
            "the entries of {path}:v{} read back from the target differ",
            version.index
        ),
    ))
}

async fn lineage(
    job: &Job,
    artifact: &SourceArtifact,
    path: &CollectionPath,
    version: &ArtifactVersion,
    tally: &mut Tally,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    for relation in &artifact.uses {
        let place = format!("artifact {:?}, run {}", artifact.collection, relation.run);
        let Some(run) = job.targets.imported_run(&relation.run).await? else {
            findings.push(Finding::lost(
                Kind::Lineage,
                place,
                "the run that it relates to was not imported",
            ));
            continue;
        };
        let entry = ArtifactUse {
            run,
            collection: path.clone(),
            index: version.index,
            role: relation.role,
            step: relation.step,
        };
        job.sink.put_use(entry).await?;
        tally.arrived(Kind::Lineage, 1);
    }
    Ok(())
}
