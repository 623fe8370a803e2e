use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use tracker_model::{CollectionPath, ManifestEntry, Result};

use super::{CheckDepth, Checker, RunCheck, Verdict, run::hash};
use crate::{EntryContent, SourceArtifact, SourceItem, SourceProject, import::Versions};

/// Compares the versions of artifacts; notes those that are not the same.
pub(super) async fn check(checker: &Checker, projects: &[Arc<SourceProject>]) {
    let mut versions = Versions::default();
    let mut artifacts = checker.source.artifacts(projects, &checker.selection);
    loop {
        let artifact = match artifacts.try_next().await {
            Ok(None) => return,
            Ok(Some(SourceItem::Item(artifact))) => artifact,
            Ok(Some(SourceItem::Finding(_))) => continue,
            Err(e) => return checker.failed("the listing of artifacts", &e),
        };
        match one(checker, &artifact, &mut versions).await {
            Ok(line) if line.verdict == Verdict::Same => {}
            Ok(line) => checker.found().artifacts.push(line),
            Err(e) => checker.failed(&format!("artifact {:?}", artifact.collection), &e),
        }
    }
}

async fn one(
    checker: &Checker,
    artifact: &SourceArtifact,
    versions: &mut Versions,
) -> Result<RunCheck> {
    let project = match &artifact.project {
        Some(project) => checker.targets.project(&project.id, &project.name).await?,
        None => checker.targets.extra_project(&artifact.project_name)?,
    };
    let path = CollectionPath::new(project, &artifact.collection)?;
    let key = artifact.version.as_ref().and_then(|v| v.source_key.clone());
    let id = key.clone().unwrap_or_else(|| artifact.collection.clone());
    let mut line = RunCheck::new(id, path.to_string(), Verdict::Same);
    let Some(key) = key else { return Ok(line) };
    if let Some(link) = &artifact.link {
        let mut linked = Versions::default();
        let target = linked
            .target(&*checker.sink, &checker.targets, link)
            .await?;
        let there = match &target {
            Some(target) => versions.find_link(&*checker.sink, &path, target).await?,
            None => None,
        };
        match there {
            Some(version) => line.target = format!("{path}:v{}", version.index),
            None => line.verdict = Verdict::Missing,
        }
        return Ok(line);
    }
    let Some(version) = versions.find(&*checker.sink, &path, &key).await? else {
        line.verdict = Verdict::Missing;
        return Ok(line);
    };
    line.target = format!("{path}:v{}", version.index);
    let mut theirs: BTreeMap<String, ManifestEntry> = checker
        .sink
        .manifest(&path, version.index)
        .map_ok(|e| (e.path.clone(), e))
        .boxed()
        .try_collect()
        .await?;
    let mut ours = checker.source.entries(artifact);
    while let Some(item) = ours.try_next().await? {
        let SourceItem::Item(entry) = item else {
            continue;
        };
        let what = format!("entry {:?}", entry.path);
        let Some(there) = theirs.remove(&entry.path) else {
            line.differs(what, Some("there".to_owned()), None);
            continue;
        };
        if let EntryContent::Reference(url) = &entry.content {
            if there.reference.as_deref() != Some(url) {
                line.differs(what, Some(url.clone()), there.reference);
            }
            continue;
        }
        let stored = there.digests.map(|d| (d.size, d.sha256));
        let size = stored.as_ref().map(|(size, _)| *size);
        if entry.size.is_some_and(|n| Some(n) != size) {
            let text = |n: Option<u64>| n.map(|n| format!("{n} bytes"));
            line.differs(what, text(entry.size), text(size));
        } else if checker.depth != CheckDepth::Counts {
            let here = hash(checker, checker.source.open_entry(artifact, &entry).await?).await?;
            if stored.as_ref().map(|(_, sha)| sha) != Some(&here.sha256) {
                line.differs(what, Some(here.sha256), stored.map(|(_, sha)| sha));
            }
        }
    }
    for path in theirs.into_keys() {
        line.differs(format!("entry {path:?}"), None, Some("there".to_owned()));
    }
    Ok(line)
}
