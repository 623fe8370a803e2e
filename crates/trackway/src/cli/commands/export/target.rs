use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use tracker_model::RunPath;

use super::OutArgs;
use crate::cli::{
    failure::{Exit, Failure, Result},
    table::{CsvTable, ParquetTable, Table, TableColumn},
    whole_file::WholeFile,
};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Comma-separated values
    Csv,
    /// A JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
}

/// Where an export goes. A file is seen only when it is complete.
#[derive(Debug)]
pub(super) struct Target {
    /// The form.
    pub(super) form: Form,
    file: Option<WholeFile>,
}

impl Target {
    /// Makes ready to write: what would fail later fails now.
    pub(super) fn new(args: &OutArgs) -> Result<Self> {
        let path = args.output.clone().filter(|path| path != Path::new("-"));
        let by_name = path.as_deref().map(by_name).transpose()?;
        let form = args.format.or(by_name.flatten()).unwrap_or(Form::Csv);
        if path.is_none() && form == Form::Parquet && io::stdout().is_terminal() {
            return Err(Failure::new(Exit::Usage, "Parquet is not for the eyes")
                .with_hint("name a file with -o FILE"));
        }
        let file = path.as_deref().map(WholeFile::new).transpose()?;
        Ok(Self { form, file })
    }

    /// What to write to.
    pub(super) fn writer(&self) -> Result<Box<dyn Write + Send>> {
        Ok(match &self.file {
            None => Box::new(BufWriter::with_capacity(64 << 10, io::stdout())),
            Some(file) => Box::new(file.writer()?),
        })
    }

    /// A table with these columns; not for JSON lines.
    pub(super) fn table(&self, columns: &[TableColumn]) -> Result<Box<dyn Table>> {
        Ok(match self.form {
            Form::Parquet => Box::new(ParquetTable::new(self.writer()?, columns)?),
            _ => Box::new(CsvTable::new(self.writer()?, columns)?),
        })
    }

    /// Shows the file. What was written to must be given back.
    pub(super) fn end(self, mut writer: Box<dyn Write + Send>) -> Result<()> {
        writer.flush().map_err(|e| self.failed(&e))?;
        drop(writer);
        self.file.map_or(Ok(()), WholeFile::end)
    }

    /// Says what an error of writing means.
    pub(super) fn failed(&self, e: &io::Error) -> Failure {
        match &self.file {
            Some(file) => file.failed(e),
            None => Failure::io("write to standard output", e),
        }
    }
}

/// A folder that takes a file for each run.
#[derive(Debug)]
pub(super) struct Folder {
    form: Form,
    path: PathBuf,
}

impl Folder {
    /// Makes the folder if there is none.
    pub(super) fn new(args: &OutArgs) -> Result<Self> {
        let path = args.output.clone().filter(|path| path != Path::new("-"));
        let path = path.ok_or_else(|| {
            Failure::usage("--per-run writes into a folder").with_hint("name one with -o DIR")
        })?;
        let what = format!("make the folder {}", path.display());
        std::fs::create_dir_all(&path).map_err(|e| Failure::io(what, &e))?;
        Ok(Self {
            form: args.format.unwrap_or(Form::Csv),
            path,
        })
    }

    /// The file of a run. Runs of one project have different ids.
    pub(super) fn target(&self, run: &RunPath) -> Result<Target> {
        let extension = match self.form {
            Form::Csv => "csv",
            Form::Jsonl => "jsonl",
            Form::Parquet => "parquet",
        };
        let name = format!("{}.{extension}", run.run);
        tracker_model::check_file_name(&name)?;
        Ok(Target {
            form: self.form,
            file: Some(WholeFile::new(&self.path.join(name))?),
        })
    }
}

fn by_name(path: &Path) -> Result<Option<Form>> {
    let Some(extension) = path.extension() else {
        return Ok(None);
    };
    match extension.to_string_lossy().to_ascii_lowercase().as_str() {
        "csv" => Ok(Some(Form::Csv)),
        "jsonl" | "ndjson" => Ok(Some(Form::Jsonl)),
        "parquet" | "pq" => Ok(Some(Form::Parquet)),
        "json" => Err(Failure::usage("an export of JSON has a document a line")
            .with_hint("name the file .jsonl")),
        "tsv" | "xlsx" | "feather" | "arrow" | "gz" => Err(Failure::usage(format!(
            ".{} is not a form that is written",
            extension.to_string_lossy()
        ))
        .with_hint(
            "the forms are .csv, .jsonl and .parquet; --format chooses regardless of the name",
        )),
        _ => Ok(None),
    }
}
