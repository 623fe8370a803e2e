use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use tracker_client::{Folder, Patterns, Saved};
use tracker_model::{ByteStream, Error, ErrorKind, FileInfo, Run, Tracker};

use crate::cli::{
    Shell, ask,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Listing, left, right},
    resolve, text,
};

/// What to do with the files of a run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway files ls 62915c7a
  trackway files get 62915c7a -o ./files
  trackway files get 62915c7a '*.csv' -o ./tables
  trackway files get 62915c7a report/confusion.json -o - | jq .
  trackway files put 62915c7a model.h5
  trackway files put 62915c7a plots/*.png --root .
  trackway files rm 62915c7a '*.png' --yes")]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them
    Ls(LsArgs),
    /// Save them into a folder
    Get(GetArgs),
    /// Put files of this machine into the run
    Put(PutArgs),
    /// Delete them, for good
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct LsArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Only these; patterns with * and ? too
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Only these; patterns with * and ? too
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The folder to save into; `-` writes one file to standard output [default: the run's id]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct PutArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Files of this machine
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Keep the path below this folder as the name [default: the file's own name]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// Which; patterns with * and ? too
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    from: FromArgs,
}

pub(super) async fn run(shell: &mut Shell, args: FilesArgs) -> Result<Exit> {
    match args.what {
        What::Ls(args) => ls(shell, args).await,
        What::Get(args) => get(shell, args).await,
        What::Put(args) => put(shell, args).await,
        What::Rm(args) => rm(shell, args).await,
    }
}

async fn put(shell: &mut Shell, args: PutArgs) -> Result<Exit> {
    let tracker = open::editor(shell, &args.from).await?;
    let run = super::run::handle(&tracker, &args.run).await?;
    let mut bytes = 0;
    let mut listing = Listing::new(&mut shell.out, &[left("NAME")]);
    for path in &args.files {
        let file = run.upload_file(path, args.root.as_deref()).await?;
        bytes += file.digests().size;
        listing.row(file.info(), || vec![file.name().to_owned()])?;
    }
    let files = listing.end()?;
    shell.talk.note(format!(
        "{}, {}, put into run {}",
        text::count(files, "file"),
        text::bytes(bytes),
        run.path()
    ));
    Ok(Exit::Ok)
}

async fn rm(shell: &mut Shell, args: RmArgs) -> Result<Exit> {
    let tracker = open::editor(shell, &args.from).await?;
    let run = super::run::handle(&tracker, &args.run).await?;
    let patterns = Patterns::new(&args.names)?;
    let (mut found, mut bytes, mut first) = (0, 0, Vec::new());
    let mut files = run.files();
    while let Some(file) = files.try_next().await? {
        if patterns.want(file.name()) {
            (found, bytes) = (found + 1, bytes + file.digests().size);
            if first.len() < 5 {
                first.push(file.name().to_owned());
            }
        }
    }
    drop(files);
    if found == 0 {
        return none(shell, run.record(), &patterns, false);
    }
    let more = if found > 5 { ", …" } else { "" };
    let what = format!(
        "delete {} ({}) of run {} for good: {}{more}",
        text::count(found, "file"),
        text::bytes(bytes),
        run.path(),
        first.join(", ")
    );
    ask::sure(shell, args.yes, &what)?;
    let deleted = run.delete_files(&patterns).await?;
    if shell.out.is_json() {
        let shape = serde_json::json!({ "deleted": deleted.files, "bytes": deleted.bytes });
        shell.out.document(&shape)?;
    }
    shell.talk.note(format!(
        "{}, {}, deleted from run {}",
        text::count(deleted.files, "file"),
        text::bytes(deleted.bytes),
        run.path()
    ));
    Ok(Exit::Ok)
}

async fn ls(shell: &mut Shell, args: LsArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let run = resolve::run(&*tracker, &args.run).await?;
    let patterns = Patterns::new(&args.names)?;
    let columns = [
        left("NAME"),
        right("SIZE"),
        left("MODIFIED (UTC)"),
        left("SHA-256"),
    ];
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    let mut files = tracker.files(&run.path);
    while let Some(file) = files.try_next().await? {
        if patterns.want(&file.name) {
            listing.row(&file, || {
                let (size, sha) = match terminal {
                    true => (
                        text::bytes(file.digests.size),
                        file.digests.sha256.chars().take(12).collect(),
                    ),
                    false => (file.digests.size.to_string(), file.digests.sha256.clone()),
                };
                vec![
                    file.name.clone(),
                    size,
                    file.modified_at
                        .map(|t| text::time_cell(t, terminal))
                        .unwrap_or_default(),
                    sha,
                ]
            })?;
        }
    }
    if listing.end()? == 0 {
        return none(shell, &run, &patterns, args.names.is_empty());
    }
    Ok(Exit::Ok)
}

fn none(shell: &Shell, run: &Run, patterns: &Patterns, all: bool) -> Result<Exit> {
    if all {
        shell.talk.note(format!("run {} has no files", run.path));
        return Ok(Exit::Ok);
    }
    Err(Failure::not_found(format!(
        "run {} has no file {}",
        run.path,
        patterns.describe()
    ))
    .with_hint(format!("`trackway files ls {}` lists them", run.path)))
}

async fn get(shell: &mut Shell, args: GetArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let run = resolve::run(&*tracker, &args.run).await?;
    let patterns = Patterns::new(&args.names)?;
    if args.output.as_deref() == Some(Path::new("-")) {
        return print(shell, &*tracker, &run, &patterns).await;
    }
    let folder = args
        .output
        .unwrap_or_else(|| PathBuf::from(run.path.run.as_str()));
    let saver = Folder::open(&folder).await?.with_replace(args.force);
    let mut count = Counts::default();
    let mut files = tracker.files(&run.path);
    while let Some(file) = files.try_next().await? {
        if patterns.want(&file.name) {
            let body = tracker.open_file(&run.path, &file.name, None);
            let saved = saver.save(&file.name, &file.digests, body).await;
            count.add(saved.map_err(not_saved)?, file.digests.size);
        }
    }
    if count.files() == 0 {
        return none(shell, &run, &patterns, args.names.is_empty());
    }
    shell.talk.note(count.describe(&folder));
    Ok(Exit::Ok)
}

async fn print(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    run: &Run,
    patterns: &Patterns,
) -> Result<Exit> {
    let mut found: Vec<FileInfo> = Vec::new();
    let mut files = tracker.files(&run.path);
    while let Some(file) = files.try_next().await? {
        if patterns.want(&file.name) {
            found.push(file);
        }
        if found.len() > 1 {
            return Err(Failure::usage(
                "more than one file fits, and standard output can take one",
            )
            .with_hint("name one file, or a folder with -o DIR"));
        }
    }
    let Some(file) = found.pop() else {
        return none(shell, run, patterns, false);
    };
    copy(shell, tracker.open_file(&run.path, &file.name, None).await?).await
}

/// Writes contents to standard output.
pub(super) async fn copy(shell: &mut Shell, mut body: ByteStream) -> Result<Exit> {
    while let Some(piece) = body.try_next().await? {
        shell.out.text(piece)?;
    }
    Ok(Exit::Ok)
}

/// Says why a file was not saved.
pub(super) fn not_saved(e: Error) -> Failure {
    let (kind, hint) = (e.kind(), e.hint().is_some());
    let failure = Failure::from(e);
    match kind {
        ErrorKind::AlreadyExists => {
            failure.with_hint("--force replaces it, -o names another folder")
        }
        ErrorKind::InvalidInput if hint => failure
            .with_exit(Exit::Refused)
            .with_hint("save into another folder with -o"),
        ErrorKind::InvalidInput => failure
            .with_exit(Exit::Refused)
            .with_hint("get this one alone with -o -, which writes it to standard output"),
        ErrorKind::Corrupt => {
            failure.with_hint("`trackway fsck --read-data` finds what is damaged")
        }
        _ => failure,
    }
}

/// What was saved.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written: u64,
    there: u64,
    bytes: u64,
}

impl Counts {
    pub(super) fn add(&mut self, saved: Saved, size: u64) {
        match saved {
            Saved::Written => (self.written, self.bytes) = (self.written + 1, self.bytes + size),
            Saved::There => self.there += 1,
        }
    }

    pub(super) fn files(&self) -> u64 {
        self.written + self.there
    }

    pub(super) fn describe(&self, folder: &Path) -> String {
        let there = if self.there > 0 {
            format!(", {} there already", self.there)
        } else {
            String::new()
        };
        format!(
            "{}, {}{there}, in {}",
            text::count(self.written, "file"),
            text::bytes(self.bytes),
            folder.display()
        )
    }
}
