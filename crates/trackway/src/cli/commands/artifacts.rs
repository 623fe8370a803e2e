mod name;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use serde::Serialize;
use tracker_client::{Folder, Patterns};
use tracker_model::{
    ArtifactVersion, Collection, CollectionPath, Digests, ManifestEntry, Project, ProjectPath,
    Tracker, VersionRef,
};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Listing, left, right},
    text,
};

use super::files::{Counts, copy, not_saved};
use name::Named;

/// What to do with artifacts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway artifacts ls                                  the collections of all projects
  trackway artifacts ls registered-models/digits-mlp     the versions of one
  trackway artifacts get registered-models/digits-mlp:champion -o ./model
  trackway artifacts get digits/traces traces.jsonl -o - | jq .")]
pub(crate) struct ArtifactsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List collections, versions or entries
    Ls(LsArgs),
    /// Save the entries of a version into a folder
    Get(GetArgs),
}

#[derive(Debug, Args)]
struct LsArgs {
    /// PROJECT for its collections, [ENTITY/]PROJECT/NAME for versions, with :VERSION for entries
    what: Option<String>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// [ENTITY/]PROJECT/NAME[:VERSION]; a version is v0, v1… or an alias [default: latest]
    what: String,
    /// Only these entries; patterns with * and ? too
    #[arg(value_name = "ENTRY")]
    names: Vec<String>,
    /// The folder to save into; `-` writes one entry to standard output [default: the artifact's name]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace files that are there and differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    from: FromArgs,
}

pub(super) async fn run(shell: &mut Shell, args: ArtifactsArgs) -> Result<Exit> {
    match args.what {
        What::Ls(args) => ls(shell, args).await,
        What::Get(args) => get(shell, args).await,
    }
}

async fn ls(shell: &mut Shell, args: LsArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let projects: Vec<Project> = tracker.projects(None).try_collect().await?;
    let projects: Vec<ProjectPath> = projects.into_iter().map(|p| p.path).collect();
    let Some(what) = &args.what else {
        return collections(shell, &*tracker, &projects).await;
    };
    match name::resolve(&*tracker, &projects, what).await? {
        Named::Project(project) => collections(shell, &*tracker, &[project]).await,
        Named::Collection(path) => versions(shell, &*tracker, &path).await,
        Named::Version(version) => entries(shell, &*tracker, &version).await,
    }
}

#[derive(Serialize)]
struct CollectionShape<'a> {
    entity: &'a str,
    project: &'a str,
    name: &'a str,
    versions: u64,
    #[serde(flatten)]
    rest: &'a Collection,
}

async fn collections(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    projects: &[ProjectPath],
) -> Result<Exit> {
    let columns = [
        left("ARTIFACT"),
        left("KIND"),
        right("VERSIONS"),
        left("CREATED (UTC)"),
        left("DESCRIPTION"),
    ];
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    for project in projects {
        let mut found = tracker.collections(project);
        while let Some(collection) = found.try_next().await? {
            let mut count = 0;
            let mut versions = tracker.versions(&collection.path);
            while versions.try_next().await?.is_some() {
                count += 1;
            }
            let shape = CollectionShape {
                entity: project.entity.as_str(),
                project: project.project.as_str(),
                name: &collection.path.name,
                versions: count,
                rest: &collection,
            };
            listing.row(&shape, || {
                let about = collection.description.as_deref().unwrap_or_default();
                vec![
                    collection.path.to_string(),
                    collection.kind.clone(),
                    count.to_string(),
                    text::time_cell(collection.created_at, terminal),
                    text::shortened(about.lines().next().unwrap_or_default(), 60),
                ]
            })?;
        }
    }
    if listing.end()? == 0 {
        shell.talk.note("there are no artifacts");
    }
    Ok(Exit::Ok)
}

async fn versions(shell: &mut Shell, tracker: &dyn Tracker, path: &CollectionPath) -> Result<Exit> {
    let columns = [
        left("VERSION"),
        left("ALIASES"),
        right("ENTRIES"),
        right("SIZE"),
        left("CREATED (UTC)"),
        left("LOGGED BY"),
    ];
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    let mut versions = tracker.versions(path);
    while let Some(version) = versions.try_next().await? {
        listing.row(&version, || {
            vec![
                format!("v{}", version.index),
                version.aliases.join(", "),
                version.entries.to_string(),
                if terminal {
                    text::bytes(version.size)
                } else {
                    version.size.to_string()
                },
                text::time_cell(version.created_at, terminal),
                version
                    .logged_by
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ]
        })?;
    }
    if listing.end()? == 0 {
        shell.talk.note(format!("{path} has no versions"));
    }
    Ok(Exit::Ok)
}

async fn entries(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    version: &ArtifactVersion,
) -> Result<Exit> {
    let columns = [left("PATH"), right("SIZE"), left("SHA-256 OR REFERENCE")];
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    let mut manifest = tracker.manifest(&version.collection, version.index);
    while let Some(entry) = manifest.try_next().await? {
        listing.row(&entry, || {
            let size = |d: &Digests| match terminal {
                true => text::bytes(d.size),
                false => d.size.to_string(),
            };
            let size = entry.digests.as_ref().map(size).unwrap_or_default();
            let place = entry
                .reference
                .clone()
                .or_else(|| entry.digests.as_ref().map(|d| d.sha256.clone()));
            vec![entry.path.clone(), size, place.unwrap_or_default()]
        })?;
    }
    if listing.end()? == 0 {
        shell.talk.note(format!(
            "{}:v{} has no entries",
            version.collection, version.index
        ));
    }
    Ok(Exit::Ok)
}

async fn get(shell: &mut Shell, args: GetArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let projects: Vec<Project> = tracker.projects(None).try_collect().await?;
    let projects: Vec<ProjectPath> = projects.into_iter().map(|p| p.path).collect();
    let version = match name::resolve(&*tracker, &projects, &args.what).await? {
        Named::Project(project) => {
            return Err(
                Failure::usage(format!("{project} is a project, not an artifact")).with_hint(
                    format!("`trackway artifacts ls {project}` lists its artifacts"),
                ),
            );
        }
        Named::Collection(path) => {
            tracker
                .version(&path, &VersionRef::Alias("latest".to_owned()))
                .await?
        }
        Named::Version(version) => *version,
    };
    let patterns = Patterns::new(&args.names)?;
    let shown = format!("{}:v{}", version.collection, version.index);
    if args.output.as_deref() == Some(Path::new("-")) {
        return print(shell, &*tracker, &version, &patterns).await;
    }
    let folder = args
        .output
        .unwrap_or_else(|| PathBuf::from(version.collection.name.replace(['/', '\\', ':'], "-")));
    let saver = Folder::open(&folder).await?.with_replace(args.force);
    let (mut count, mut references) = (Counts::default(), 0);
    let mut manifest = tracker.manifest(&version.collection, version.index);
    while let Some(entry) = manifest.try_next().await? {
        if !patterns.want(&entry.path) {
            continue;
        }
        let Some(digests) = entry.digests.as_ref().filter(|_| entry.reference.is_none()) else {
            references += 1;
            shell.talk.warn(format!(
                "{} is not here but at {}",
                text::one_line(&entry.path),
                text::one_line(entry.reference.as_deref().unwrap_or_default())
            ));
            continue;
        };
        let body = tracker.open_entry(&version.collection, version.index, &entry.path, None);
        let saved = saver.save(&entry.path, digests, body).await;
        count.add(saved.map_err(not_saved)?, digests.size);
    }
    if count.files() + references == 0 && !args.names.is_empty() {
        return Err(
            Failure::not_found(format!("{shown} has no entry {}", patterns.describe()))
                .with_hint(format!("`trackway artifacts ls {shown}` lists them")),
        );
    }
    shell
        .talk
        .note(format!("{shown}: {}", count.describe(&folder)));
    Ok(if references > 0 {
        Exit::Partial
    } else {
        Exit::Ok
    })
}

async fn print(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    version: &ArtifactVersion,
    patterns: &Patterns,
) -> Result<Exit> {
    let mut found: Vec<ManifestEntry> = Vec::new();
    let mut manifest = tracker.manifest(&version.collection, version.index);
    while let Some(entry) = manifest.try_next().await? {
        if patterns.want(&entry.path) {
            found.push(entry);
        }
        if found.len() > 1 {
            return Err(Failure::usage(
                "more than one entry fits, and standard output can take one",
            )
            .with_hint("name one entry, or a folder with -o DIR"));
        }
    }
    let shown = format!("{}:v{}", version.collection, version.index);
    let Some(entry) = found.pop() else {
        return Err(Failure::not_found(format!("{shown} has no such entry"))
            .with_hint(format!("`trackway artifacts ls {shown}` lists them")));
    };
    copy(
        shell,
        tracker
            .open_entry(&version.collection, version.index, &entry.path, None)
            .await?,
    )
    .await
}
