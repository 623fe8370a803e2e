use std::sync::Arc;

use clap::Args;
use futures::TryStreamExt;
use serde::Serialize;
use tracker_model::{EntityName, JsonObject, Project, RunQuery, Timestamp, Tracker};

use crate::cli::{
    Shell,
    failure::{Exit, Result},
    open::{self, FromArgs},
    output::{Listing, left, right},
    program, text,
};

/// Which projects.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway projects
  trackway projects --include-deleted
  trackway projects --jsonl | jq -r .project")]
pub(crate) struct ProjectsArgs {
    /// Only of this entity
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// Deleted projects too
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    entity: &'a str,
    project: &'a str,
    runs: u64,
    description: Option<&'a str>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    deleted: bool,
    extras: &'a JsonObject,
}

pub(super) async fn run(shell: &mut Shell, args: ProjectsArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let entity = args.entity.map(EntityName::new).transpose()?;
    let columns = [
        left("PROJECT"),
        right("RUNS"),
        left("CREATED (UTC)"),
        left("DESCRIPTION"),
    ];
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    let mut projects = tracker.projects(entity.as_ref());
    while let Some(project) = projects.try_next().await? {
        if project.deleted && !args.include_deleted {
            continue;
        }
        let runs = count_runs(&tracker, &project, args.include_deleted).await?;
        let shape = Shape {
            entity: project.path.entity.as_str(),
            project: project.path.project.as_str(),
            runs,
            description: project.description.as_deref(),
            created_at: project.created_at,
            updated_at: project.updated_at,
            deleted: project.deleted,
            extras: &project.extras,
        };
        listing.row(&shape, || {
            let about = project.description.as_deref().unwrap_or_default();
            let deleted = if project.deleted { "(deleted) " } else { "" };
            let about = text::shortened(about.lines().next().unwrap_or_default(), 60);
            vec![
                project.path.to_string(),
                runs.to_string(),
                text::time_cell(project.created_at, terminal),
                format!("{deleted}{about}"),
            ]
        })?;
    }
    if listing.end()? == 0 {
        shell.talk.note(format!(
            "there are no projects; `{} import SOURCE` brings some",
            program()
        ));
    }
    Ok(Exit::Ok)
}

async fn count_runs(tracker: &Arc<dyn Tracker>, project: &Project, deleted: bool) -> Result<u64> {
    Ok(tracker
        .count_runs(&RunQuery::of_project(&project.path).with_deleted(deleted))
        .await?)
}
