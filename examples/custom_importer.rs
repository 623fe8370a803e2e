//! An importer of your own: a folder of CSV files, a run each, in `PROJECT/RUN.csv`. The column
//! `step` is the step, every other column a series.
//!
//! `cargo run --bin custom_importer -- FOLDER STORE`
#![allow(clippy::print_stdout)]

use std::{fmt, fs, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use trackway::{import::*, model::*, store::*};

#[derive(Debug)]
pub(crate) struct CsvFolder {
    folder: PathBuf,
    id: SourceId,
}

impl CsvFolder {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let (kind, location) = ("csv".to_owned(), folder.display().to_string());
        Self { folder, id: SourceId { kind, location } }
    }

    fn file(&self, project: &str, run: &str) -> PathBuf {
        self.folder.join(project).join(format!("{run}.csv"))
    }

    /// The names in a folder that end so, without that ending, sorted.
    fn names(&self, folder: &str, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten();
        let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> =
            names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect();
        names.sort();
        names
    }

    /// A series for each column. (Files of gigabytes would be read in pieces.)
    fn read(&self, run: &RunRef, query: &PointsQuery) -> csv::Result<Vec<PointItem>> {
        let file = self.file(&run.project.name, &run.id);
        let mut table = csv::Reader::from_path(&file)?;
        let names = table.headers()?.clone();
        let rows = table.records().collect::<csv::Result<Vec<_>>>()?;
        let step_column = names.iter().position(|name| name == "step");
        let mut out = Vec::new();
        for (column, name) in names.iter().enumerate() {
            if Some(column) == step_column || !query.wants(name) {
                continue;
            }
            let mut series = BatchBuilder::new(name.into());
            for (row, line) in (0u64..).zip(&rows) {
                let step = step_column.map_or(i64::try_from(row).ok(), |c| line[c].parse().ok());
                match (&line[column], line[column].parse(), step) {
                    ("", ..) => {}
                    (_, Ok(value), Some(step)) => {
                        let full = series.push(Some(row), step, None, Value::F64(value));
                        out.extend(full.map(PointItem::Batch));
                    }
                    _ => {
                        let place = format!("{}, line {}, {name}", file.display(), row + 2);
                        let finding = Finding::unreadable(Kind::Points, place, "not a number");
                        out.push(PointItem::Finding(finding));
                    }
                }
            }
            out.extend(series.take().map(PointItem::Batch));
        }
        Ok(out)
    }
}

fn stream<T: Send + 'static>(items: Vec<T>) -> BoxStream<'static, Result<T>> {
    futures::stream::iter(items).map(Ok).boxed()
}

#[async_trait]
impl Source for CsvFolder {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn capabilities(&self) -> SourceCapabilities {
        let mut can = SourceCapabilities::default();
        can.series_in_turn = true;
        can
    }

    fn projects(&self, _: &Selection) -> BoxStream<'static, Result<SourceItem<SourceProject>>> {
        let folders = self.names("", "").into_iter().filter(|f| self.folder.join(f).is_dir());
        stream(folders.map(|name| SourceItem::Item(SourceProject::new(&name, &name))).collect())
    }

    fn runs(
        &self,
        project: &Arc<SourceProject>,
        _: &Selection,
    ) -> BoxStream<'static, Result<SourceItem<RunRef>>> {
        let run = |id: String| {
            // A run that was imported is read again when its file has changed.
            let facts = fs::metadata(self.file(&project.name, &id)).ok();
            let mark = facts.map(|m| (m.len(), m.modified().ok()));
            SourceItem::Item(RunRef::new(project, id, format!("{mark:?}")))
        };
        stream(self.names(&project.name, ".csv").into_iter().map(run).collect())
    }

    async fn run(&self, run: &RunRef) -> Result<RunRecord> {
        RunRecord::new(run)
    }

    fn points(&self, run: &RunRef, query: PointsQuery) -> BoxStream<'static, Result<PointItem>> {
        stream(self.read(run, &query).unwrap_or_else(|e| {
            let place = self.file(&run.project.name, &run.id).display().to_string();
            vec![PointItem::Finding(Finding::unreadable(Kind::Points, place, e.to_string()))]
        }))
    }
}

impl fmt::Display for CsvFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.folder.display())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, folder, target] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: custom_importer FOLDER STORE");
    };
    let store = Arc::new(EmbeddedStore::open(target, StoreOptions::new()).await?);
    let ledger = Arc::new(SqliteLedger::open(store.dir().join("ledger.db"))?);
    let (source, sink) = (Arc::new(CsvFolder::new(folder)), Arc::new(TrackerSink::new(store)));
    let (selection, options) = (Selection::new(), ImportOptions::default());
    let receipt = import(source, sink, ledger, selection, options, Arc::new(Silent)).await?;
    println!("{}", serde_json::to_string_pretty(&receipt)?);
    Ok(())
}
