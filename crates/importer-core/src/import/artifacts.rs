use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};
use tracker_model::{
    ArtifactDraft, ArtifactUse, ArtifactVersion, ArtifactWriter, CollectionPatch, CollectionPath,
    Content, Digests, EntryDraft, Error, ErrorKind, LinkDraft, Result, VersionLink,
    check_file_name,
};

use super::{
    account::{Account, Told},
    files::{may_help, name_problem, watched},
    job::Job,
    listing::{Listed, Listing},
    versions::Versions,
};
use crate::{
    EntryContent, Event, Finding, Kind, LedgerEntry, LedgerKey, SourceArtifact, SourceEntry,
    SourceItem, SourceProject,
};

/// Imports all artifacts. What fails is named, and the rest goes on.
pub(super) async fn copy(job: &Job, projects: &[Arc<SourceProject>]) {
    // Versions of one collection come in order and stay in order: one after the other.
    let mut copier = Copier {
        job,
        counted: BTreeSet::new(),
        put: None,
        versions: Versions::default(),
        linked: Versions::default(),
        files: RunFiles::default(),
    };
    let mut artifacts = Listing::new(job.source.artifacts(projects, &job.selection));
    loop {
        if job.stopped() {
            return;
        }
        let (artifact, changes) = match artifacts.try_next().await {
            Ok(None) => return,
            Ok(Some(Listed::Item(artifact, changes))) => (artifact, changes),
            Ok(Some(Listed::Finding(finding))) => {
                job.found(finding);
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
        let copied = tokio::select! {
            copied = copier.one(&artifact, changes) => copied,
            // A version that is half done is not there.
            () = job.options.cancel.cancelled() => return,
        };
        match copied {
            Ok(told) => job.count(told),
            Err(e) => {
                let name = format!(
                    "artifact {:?} {}",
                    artifact.collection,
                    source_key(&artifact).unwrap_or_default()
                );
                job.failed(name.clone(), &e);
                let reason = "the artifact failed, see failures";
                job.count(Finding::unreadable(Kind::Artifacts, name, reason).into());
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

/// Copies one version after the other.
struct Copier<'a> {
    job: &'a Job,
    /// The collections that were counted.
    counted: BTreeSet<CollectionPath>,
    /// The last change that was made to a collection: its versions mostly say the same of it.
    put: Option<(CollectionPath, CollectionPatch)>,
    versions: Versions,
    /// The same for the collection that was linked last.
    linked: Versions,
    files: RunFiles,
}

impl Copier<'_> {
    /// Copies a version, of which rules changed this and that in the listing.
    async fn one(&mut self, artifact: &SourceArtifact, changes: Vec<Finding>) -> Result<Told> {
        let job = self.job;
        let project = match &artifact.project {
            Some(project) => job.targets.project(&project.id, &project.name).await?,
            None => job.targets.extra_project(&artifact.project_name)?,
        };
        let path = CollectionPath::new(project, &artifact.collection)?;
        let key = LedgerKey::Artifact(
            source_key(artifact).map_or_else(|| format!("collection:{path}"), ToOwned::to_owned),
        );
        let entry = job
            .ledger
            .entry(job.source.id(), &key)
            .await?
            .unwrap_or_default();
        let target = match &artifact.link {
            Some(link) => self.linked.target(&*job.sink, &job.targets, link).await?,
            None => None,
        };
        let before = match (source_key(artifact), &target) {
            (_, Some(target)) => self.versions.find_link(&*job.sink, &path, target).await?,
            (Some(key), None) => self.versions.find(&*job.sink, &path, key).await?,
            (None, None) => None,
        };
        let mut collection = Account::default();
        if self.counted.insert(path.clone()) {
            collection.arrived(Kind::Collections, 1);
        }
        let mut own = Account::default();
        for change in changes {
            match change.kind {
                Kind::Collections => collection.found(change),
                _ => own.found(change),
            }
        }
        let same = entry.done
            && entry.target == path.to_string()
            && entry.fingerprint == artifact.fingerprint
            && (artifact.version.is_none() || before.is_some());
        if job.options.incremental && same && artifact.immutable {
            return Ok(collection
                .close_unchanged()
                .and(Told::unchanged(&entry.tally)));
        }
        if job.options.dry_run {
            own.arrived(Kind::Artifacts, u64::from(artifact.version.is_some()));
            own.arrived(Kind::Traces, traces(job, artifact).unwrap_or(0));
            return Ok(collection.close().and(own.close()));
        }
        let mut patch = artifact.patch.clone();
        if !job.sink.capabilities().links {
            patch.portfolio = None;
        }
        let put = Some((path.clone(), patch.clone()));
        if self.put != put {
            job.sink.put_collection(&path, patch).await?;
            self.put = put;
        }
        let mut unchanged = true;
        if let Some(draft) = &artifact.version {
            let version = if artifact.link.is_some() {
                link(job, artifact, draft, &path, target, &mut own).await?
            } else {
                Some(self.version(artifact, draft, &path, &mut own).await?)
            };
            unchanged = version.is_some() && before == version;
            if let Some(version) = version {
                self.versions.put(&path, version);
            }
        }
        let own = own.close_as(unchanged);
        let entry = LedgerEntry {
            target: path.to_string(),
            fingerprint: artifact.fingerprint.clone(),
            done: true,
            tally: own.counts.clone(),
            ..LedgerEntry::default()
        };
        job.ledger.settle(job.source.id(), &key, entry).await?;
        Ok(collection.close_as(unchanged && same).and(own))
    }

    async fn version(
        &mut self,
        artifact: &SourceArtifact,
        draft: &ArtifactDraft,
        path: &CollectionPath,
        account: &mut Account,
    ) -> Result<ArtifactVersion> {
        let job = self.job;
        let mut draft = draft.clone();
        if let Some(run) = &artifact.logged_by {
            draft.logged_by = job.targets.imported_run(run).await?;
        }
        let mut writer = job.sink.open_version(path, draft).await?;
        self.entries(artifact, &mut *writer, account).await?;
        let version = writer.commit().await?;
        verify(job, path, &version, account.arrivals(Kind::Entries)).await?;
        lineage(job, artifact, path, &version, account).await?;
        account.arrived(Kind::Artifacts, 1);
        account.arrived(Kind::Traces, traces(job, artifact).unwrap_or(0));
        Ok(version)
    }

    async fn entries(
        &mut self,
        artifact: &SourceArtifact,
        writer: &mut dyn ArtifactWriter,
        account: &mut Account,
    ) -> Result<()> {
        let job = self.job;
        let mut entries = job.source.entries(artifact);
        while let Some(item) = entries.try_next().await? {
            let entry = match item {
                SourceItem::Item(entry) => entry,
                SourceItem::Finding(finding) => {
                    account.found(finding);
                    continue;
                }
            };
            let place = format!("artifact {:?}, {:?}", artifact.collection, entry.path);
            if let Err(e) = check_file_name(&entry.path) {
                account.found(Finding::lost(Kind::Entries, place, name_problem(&e)));
                continue;
            }
            let draft = || {
                let mut draft = EntryDraft::new(&entry.path);
                draft.extras.clone_from(&entry.extras);
                draft
            };
            if let EntryContent::Reference(url) = &entry.content {
                writer.add(draft(), Content::Reference(url.clone())).await?;
                account.arrived(Kind::Entries, 1);
                continue;
            }
            if let Some(digests) = self.files.digests(job, &entry).await? {
                match writer.add(draft(), Content::Stored(digests)).await {
                    Ok(made) => {
                        account.arrived(Kind::Entries, 1);
                        account.arrived(Kind::Bytes, made.digests.map_or(0, |d| d.size));
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
                    account.found(Finding::unreadable(Kind::Entries, place, e.message()));
                    continue;
                }
            };
            let (body, failure) = watched(job, body, entry.size);
            match writer.add(draft(), Content::Bytes(body)).await {
                Ok(made) => {
                    account.arrived(Kind::Entries, 1);
                    account.arrived(Kind::Bytes, made.digests.map_or(0, |d| d.size));
                }
                Err(e) => match failure.take() {
                    Some(e) if may_help(&e) => return Err(e.context(format_args!("read {place}"))),
                    Some(e) => {
                        account.found(Finding::unreadable(Kind::Entries, place, e.message()));
                    }
                    None => return Err(e.context(format_args!("write {place}"))),
                },
            }
        }
        Ok(())
    }
}

/// The files that the target has of the run that was asked for last: the entries of a version are
/// mostly files of one run.
#[derive(Debug, Default)]
struct RunFiles {
    run: Option<String>,
    files: BTreeMap<String, Digests>,
}

impl RunFiles {
    /// The digests of an entry that is a file of a run which was imported.
    async fn digests(&mut self, job: &Job, entry: &SourceEntry) -> Result<Option<Digests>> {
        let EntryContent::RunFile { run, name, .. } = &entry.content else {
            return Ok(None);
        };
        if !job.sink.capabilities().stored_content {
            return Ok(None);
        }
        if self.run.as_ref() != Some(run) {
            self.run = None;
            self.files = match job.targets.imported_run(run).await? {
                Some(path) => {
                    let files = job.sink.files(&path).map_ok(|f| (f.name, f.digests));
                    files.try_collect().await?
                }
                None => BTreeMap::new(),
            };
            self.run = Some(run.clone());
        }
        Ok(self.files.get(name).cloned())
    }
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

/// Makes a version stand for one that was imported.
async fn link(
    job: &Job,
    artifact: &SourceArtifact,
    draft: &ArtifactDraft,
    path: &CollectionPath,
    target: Option<VersionLink>,
    account: &mut Account,
) -> Result<Option<ArtifactVersion>> {
    let place = || {
        let key = draft.source_key.as_deref().unwrap_or_default();
        format!("artifact {:?} {key}", artifact.collection)
    };
    let mut lost = |why: &str| account.found(Finding::lost(Kind::Artifacts, place(), why));
    if !job.sink.capabilities().links {
        lost("the target has no versions that stand for others");
        return Ok(None);
    }
    let Some(target) = target else {
        lost("the version that it stands for was not imported");
        return Ok(None);
    };
    let mut link = LinkDraft::new().with_aliases(draft.aliases.iter().cloned());
    link.index = draft.index;
    link.created_at = draft.created_at;
    let version = job.sink.put_link(path, &target, link).await?;
    lineage(job, artifact, path, &version, account).await?;
    account.arrived(Kind::Artifacts, 1);
    Ok(Some(version))
}

async fn lineage(
    job: &Job,
    artifact: &SourceArtifact,
    path: &CollectionPath,
    version: &ArtifactVersion,
    account: &mut Account,
) -> Result<()> {
    for relation in &artifact.uses {
        let place = format!("artifact {:?}, run {}", artifact.collection, relation.run);
        let Some(run) = job.targets.imported_run(&relation.run).await? else {
            account.found(Finding::lost(
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
        account.arrived(Kind::Lineage, 1);
    }
    Ok(())
}
