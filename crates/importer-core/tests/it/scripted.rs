//! A source that does as it is told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use importer_core::{
    EntryContent, Error, ErrorKind, Finding, Kind, PointItem, PointsQuery, Result, Retry,
    RunRecord, RunRef, Selection, Source, SourceArtifact, SourceCapabilities, SourceEntry,
    SourceFile, SourceId, SourceItem, SourceProject, SourceUse,
};
use serde_json::json;
use tracker_model::{
    ArtifactDraft, BatchBuilder, ByteStream, CollectionPatch, EntityName, FileDraft, HistoryStream,
    PointBatch, ProjectName, ProjectPatch, Run, RunId, RunPath, RunState, Timestamp, UseRole,
    Value, bytes_of,
};

pub(crate) const T0: i64 = 1_700_000_000_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptRun {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) running: bool,
    pub(crate) deleted: bool,
    pub(crate) series: BTreeMap<String, Vec<f64>>,
    /// The system metrics.
    pub(crate) system: BTreeMap<String, Vec<f64>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Added to the fingerprint, to show a change that nothing else shows.
    pub(crate) salt: u64,
    /// Reading the run fails with this.
    pub(crate) fails: Option<ErrorKind>,
    /// Reading the points fails after so many.
    pub(crate) fails_after: Option<usize>,
    /// Findings among the points.
    pub(crate) torn: u64,
    /// This file lists another size than it has.
    pub(crate) lying_file: Option<String>,
    /// This file cannot be opened.
    pub(crate) missing_file: Option<String>,
    /// What is found of it, and where.
    pub(crate) findings: BTreeMap<Place, Vec<Finding>>,
}

/// Where a source tells what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Projects,
    Runs,
    Record,
    Points,
    Files,
    Artifacts,
    Entries,
}

impl Place {
    pub(crate) const ALL: [Self; 7] = [
        Self::Projects,
        Self::Runs,
        Self::Record,
        Self::Points,
        Self::Files,
        Self::Artifacts,
        Self::Entries,
    ];
}

impl ScriptRun {
    fn found(&self, place: Place) -> Vec<Finding> {
        self.findings.get(&place).cloned().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) runs: Vec<ScriptRun>,
    pub(crate) batch: usize,
    pub(crate) listing_fails: bool,
    /// The entries of artifacts are the files of the first run.
    pub(crate) models_of_files: bool,
    /// The contents of artifacts never come.
    pub(crate) models_hang: bool,
    /// The runs of this project may not be listed.
    pub(crate) forbidden: Option<String>,
}

impl Script {
    /// Some of everything.
    pub(crate) fn varied() -> Self {
        let mut runs = Vec::new();
        for i in 0..12u32 {
            let mut run = ScriptRun {
                id: format!("run-{i}"),
                project: ["alpha", "beta/γ", "beta#γ"][i as usize % 3].to_owned(),
                running: i % 4 == 3,
                deleted: i == 5,
                ..ScriptRun::default()
            };
            for k in 0..i % 5 {
                let points = (0..(i * 37) % 200)
                    .map(|n| {
                        if n % 11 == 4 {
                            f64::NAN
                        } else {
                            f64::from(n) / 7.0
                        }
                    })
                    .collect();
                run.series.insert(format!("k{k}/λ"), points);
            }
            run.series.retain(|_, points| !points.is_empty());
            if i % 3 == 1 {
                // A key of both histories, and one of its own.
                let values: Vec<f64> = (0..90).map(f64::from).collect();
                run.system.insert("k0/λ".into(), values[..40].to_vec());
                run.system.insert("gpu.0".into(), values);
            }
            for f in 0..i % 3 {
                run.files.insert(
                    format!("dir {f}/ü%20#?.bin"),
                    vec![b'x'; (i * 100) as usize],
                );
            }
            runs.push(run);
        }
        Self {
            runs,
            batch: 17,
            ..Self::default()
        }
    }

    pub(crate) fn of(runs: Vec<ScriptRun>) -> Self {
        Self {
            runs,
            batch: 16,
            ..Self::default()
        }
    }

    pub(crate) fn into_source(self) -> ScriptSource {
        ScriptSource {
            script: self,
            id: SourceId {
                kind: "script".into(),
                location: "memory".into(),
            },
            reads: AtomicU64::new(0),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ScriptSource {
    script: Script,
    id: SourceId,
    /// How many runs were read.
    pub(crate) reads: AtomicU64,
}

impl fmt::Display for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("script")
    }
}

impl ScriptSource {
    /// What is found of a project, by any of its runs.
    fn found<T>(&self, project: &str, place: Place) -> Vec<SourceItem<T>> {
        let runs = self.script.runs.iter().filter(|r| r.project == project);
        runs.flat_map(|r| r.found(place))
            .map(SourceItem::Finding)
            .collect()
    }

    fn find(&self, id: &str) -> ScriptRun {
        self.script
            .runs
            .iter()
            .find(|r| r.id == id)
            .expect("a listed run")
            .clone()
    }
}

fn items<T: Send + 'static>(items: Vec<T>) -> BoxStream<'static, Result<T>> {
    // Yields between the items, so that a test may stop anywhere.
    futures::stream::iter(items)
        .then(|item| async move {
            tokio::task::yield_now().await;
            Ok(item)
        })
        .boxed()
}

pub(crate) fn batches(key: &str, values: &[f64], size: usize) -> Vec<PointBatch> {
    let mut builder = BatchBuilder::new(key.into());
    let mut out = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let step = i64::try_from(i).unwrap();
        builder.push(
            None,
            step,
            Some(Timestamp::from_millis(T0 + step)),
            Value::F64(*value),
        );
        if (i + 1) % size.max(1) == 0 {
            out.extend(builder.take());
        }
    }
    out.extend(builder.take());
    out
}

#[async_trait]
impl Source for ScriptSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        let mut can = SourceCapabilities::default();
        can.series_in_turn = true;
        can.artifacts = true;
        can.system = true;
        can
    }

    fn projects(&self, _: &Selection) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let mut names: Vec<String> = self.script.runs.iter().map(|r| r.project.clone()).collect();
        names.sort();
        names.dedup();
        let mut out = Vec::new();
        for name in names {
            out.extend(self.found(&name, Place::Projects));
            let mut patch = ProjectPatch::new();
            patch.created_at = Some(Timestamp::from_millis(T0));
            out.push(SourceItem::Item(SourceProject {
                id: format!("id of {name}"),
                name,
                patch,
                tags: 0,
                deleted: false,
            }));
        }
        items(out)
    }

    fn runs(
        &self,
        project: &Arc<SourceProject>,
        _: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
        if self.script.forbidden.as_ref() == Some(&project.name) {
            let e = Error::new(ErrorKind::PermissionDenied, "this project is not yours");
            return futures::stream::once(std::future::ready(Err(e.with_retry(Retry::Never))))
                .boxed();
        }
        let mut out = Vec::new();
        for run in self
            .script
            .runs
            .iter()
            .filter(|r| r.project == project.name)
        {
            let shape: Vec<_> = run
                .series
                .iter()
                .map(|(k, v)| (k, v.last().map(|x| x.to_bits())))
                .collect();
            out.extend(run.found(Place::Runs).into_iter().map(SourceItem::Finding));
            out.push(SourceItem::Item(RunRef {
                project: Arc::clone(project),
                id: run.id.clone(),
                name: None,
                started_at: Some(Timestamp::from_millis(T0)),
                deleted: run.deleted,
                ended: !run.running,
                fingerprint: format!("{} {} {:?}", run.running, run.salt, shape),
                detail: None,
            }));
        }
        let listed = items(out);
        if self.script.listing_fails {
            let fail = futures::stream::iter([Err(Error::new(
                ErrorKind::Unavailable,
                "the listing broke",
            ))]);
            return listed.take(1).chain(fail).boxed();
        }
        listed
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let script = self.find(&run.id);
        if let Some(kind) = script.fails {
            return Err(Error::new(kind, "the run cannot be read"));
        }
        let path = RunPath::new(
            EntityName::legalised("x"),
            ProjectName::legalised(&script.project),
            RunId::legalised(&run.id),
        );
        let mut record = Run::new(path, Timestamp::from_millis(T0));
        record.started_at = run.started_at;
        record.deleted = run.deleted;
        record.state = if script.running {
            RunState::Running
        } else {
            RunState::Finished
        };
        record.config.insert("lr".into(), "0.1".into());
        let tags = BTreeMap::from([("team".to_owned(), "a\tb\\".to_owned())]);
        Ok(RunRecord {
            run: record,
            tags,
            findings: script.found(Place::Record),
        })
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        let script = self.find(&run.id);
        let mut out = Vec::new();
        if query.stream == HistoryStream::System {
            for (key, values) in script.system.iter().filter(|(k, _)| query.wants(k)) {
                let batches = batches(key, values, self.script.batch);
                out.extend(batches.into_iter().map(PointItem::Batch));
            }
            return items(out);
        }
        for (key, values) in script.series.iter().filter(|(k, _)| query.wants(k)) {
            out.extend(
                batches(key, values, self.script.batch)
                    .into_iter()
                    .map(PointItem::Batch),
            );
            let latest = values.last().map(|v| (key.clone(), json!(v)));
            out.push(PointItem::Summary(latest.into_iter().collect()));
        }
        let found = script.found(Place::Points);
        out.extend(found.into_iter().map(PointItem::Finding));
        if script.torn > 0 {
            let finding =
                Finding::unreadable(Kind::Points, format!("run {}", run.id), "half a line");
            out.push(PointItem::Finding(finding.times(script.torn)));
        }
        match script.fails_after {
            Some(n) => {
                let fail = futures::stream::iter([Err(Error::new(
                    ErrorKind::Unavailable,
                    "the connection was cut",
                ))]);
                items(out).take(n).chain(fail).boxed()
            }
            None => items(out),
        }
    }

    fn files(&self, run: &RunRef) -> BoxStream<'static, Result<SourceItem<SourceFile>>> {
        let script = self.find(&run.id);
        let found = script.found(Place::Files);
        let mut out: Vec<_> = found.into_iter().map(SourceItem::Finding).collect();
        for (name, bytes) in &script.files {
            let lie = u64::from(script.lying_file.as_ref() == Some(name));
            out.push(SourceItem::Item(SourceFile {
                draft: FileDraft::new(name),
                size: Some(bytes.len() as u64 + lie),
                mark: Some(format!("{} bytes", bytes.len())),
                detail: None,
            }));
        }
        items(out)
    }

    async fn open_file(&self, run: &RunRef, file: &SourceFile) -> Result<ByteStream> {
        let script = self.find(&run.id);
        if script.missing_file.as_ref() == Some(&file.draft.name) {
            return Err(
                Error::new(ErrorKind::NotFound, "the file is gone").with_retry(Retry::Never)
            );
        }
        Ok(bytes_of(script.files[&file.draft.name].clone()))
    }

    fn artifacts(
        &self,
        projects: &[Arc<SourceProject>],
        _: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<SourceArtifact>>> {
        let Some(project) = projects.first() else {
            return items(Vec::new());
        };
        let mut out = self.found(&project.name, Place::Artifacts);
        for index in [1, 2, 5] {
            let mut draft = ArtifactDraft::new();
            draft.index = Some(index);
            draft.source_key = Some(format!("model/{index}"));
            draft.aliases = if index == 2 {
                vec!["best".into()]
            } else {
                Vec::new()
            };
            draft.created_at = Some(Timestamp::from_millis(T0));
            let mut patch = CollectionPatch::new();
            patch.created_at = Some(Timestamp::from_millis(T0));
            out.push(SourceItem::Item(SourceArtifact {
                link: None,
                project: Some(Arc::clone(project)),
                project_name: String::new(),
                collection: "a model".into(),
                patch,
                version: Some(draft),
                fingerprint: format!("m{index}"),
                immutable: true,
                logged_by: Some("run-0".into()),
                uses: vec![SourceUse {
                    run: "run-3".into(),
                    role: UseRole::Used,
                    step: None,
                }],
                detail: None,
            }));
        }
        items(out)
    }

    fn entries(
        &self,
        artifact: &SourceArtifact,
    ) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        let entry = |path: &str, content| {
            SourceItem::Item(SourceEntry {
                path: path.into(),
                extras: Default::default(),
                size: None,
                content,
            })
        };
        if let Some(run) = self
            .script
            .runs
            .first()
            .filter(|_| self.script.models_of_files)
        {
            let file = |name: &String| {
                let content = EntryContent::RunFile {
                    run: run.id.clone(),
                    name: name.clone(),
                    detail: Arc::new(()),
                };
                entry(name, content)
            };
            return items(run.files.keys().map(file).collect());
        }
        let project = artifact.project.as_ref().map_or("", |p| &p.name);
        let mut out = self.found(project, Place::Entries);
        out.extend([
            entry("weights", EntryContent::Source(Arc::new(()))),
            entry("elsewhere", EntryContent::Reference("s3://b/k".into())),
        ]);
        items(out)
    }

    async fn open_entry(&self, _: &SourceArtifact, entry: &SourceEntry) -> Result<ByteStream> {
        if self.script.models_hang {
            return Ok(futures::stream::pending().boxed());
        }
        if let EntryContent::RunFile { run, name, .. } = &entry.content {
            return Ok(bytes_of(self.find(run).files[name].clone()));
        }
        Ok(bytes_of(entry.path.clone()))
    }
}
