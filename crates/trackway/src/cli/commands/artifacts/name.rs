use futures::TryStreamExt;
use tracker_model::{ArtifactVersion, CollectionPath, ErrorKind, ProjectPath, Tracker, VersionRef};

use crate::cli::{
    failure::{Failure, Result},
    resolve::{self, DEFAULT_ENTITY},
    text::{Nearest, did_you_mean, one_line},
};

/// What a user named.
#[derive(Debug)]
pub(super) enum Named {
    /// A project.
    Project(ProjectPath),
    /// The versions of an artifact.
    Collection(CollectionPath),
    /// One version.
    Version(Box<ArtifactVersion>),
}

/// Understands `[ENTITY/]PROJECT[/NAME[:VERSION]]`. Names of artifacts may hold slashes and colons.
pub(super) async fn resolve(
    tracker: &dyn Tracker,
    projects: &[ProjectPath],
    text: &str,
) -> Result<Named> {
    let mut near = Nearest::new(text);
    for (project, rest) in readings(projects, text) {
        let Some(rest) = rest else {
            return Ok(Named::Project(project.clone()));
        };
        let mut collections = tracker.collections(project);
        let split = rest.rsplit_once(':');
        let mut version = None;
        while let Some(collection) = collections.try_next().await? {
            if collection.path.name == rest {
                return Ok(Named::Collection(collection.path));
            }
            if let Some((name, wanted)) = split
                && collection.path.name == name
            {
                version = Some((collection.path.clone(), wanted));
            }
            near.offer(&collection.path.to_string(), collection.path.to_string());
            near.offer(
                &format!("{}/{}", project.project, collection.path.name),
                collection.path.to_string(),
            );
        }
        if let Some((path, wanted)) = version {
            return one(tracker, path, wanted).await;
        }
    }
    if !text.contains('/') {
        // Says that there is no such project, and which are near.
        return resolve::project(tracker, text).await.map(Named::Project);
    }
    let mut near = near.into_best();
    near.dedup();
    Err(
        Failure::not_found(format!("there is no artifact {:?}", one_line(text))).with_hint(
            did_you_mean(&near)
                .unwrap_or_else(|| "`trackway artifacts ls` lists all artifacts".to_owned()),
        ),
    )
}

/// The projects that the text may begin with, the longest first, and what follows.
fn readings<'a>(
    projects: &'a [ProjectPath],
    text: &'a str,
) -> Vec<(&'a ProjectPath, Option<&'a str>)> {
    let mut out = Vec::new();
    let mut add = |project, whole: &str| match text.strip_prefix(whole) {
        Some("") => out.push((project, None)),
        Some(rest) => out.extend(rest.strip_prefix('/').map(|rest| (project, Some(rest)))),
        None => {}
    };
    for project in projects {
        add(project, &project.to_string());
    }
    for project in projects
        .iter()
        .filter(|p| p.entity.as_str() == DEFAULT_ENTITY)
    {
        add(project, project.project.as_str());
    }
    // Without an entity any will do, if the default one has no such project.
    for project in projects
        .iter()
        .filter(|p| p.entity.as_str() != DEFAULT_ENTITY)
    {
        add(project, project.project.as_str());
    }
    out
}

async fn one(tracker: &dyn Tracker, path: CollectionPath, wanted: &str) -> Result<Named> {
    let reference: VersionRef = wanted.parse()?;
    match tracker.version(&path, &reference).await {
        Ok(version) => Ok(Named::Version(Box::new(version))),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let versions: Vec<ArtifactVersion> = tracker.versions(&path).try_collect().await?;
            let last: Vec<_> = versions
                .iter()
                .rev()
                .take(5)
                .map(|v| {
                    [vec![format!("v{}", v.index)], v.aliases.clone()]
                        .concat()
                        .join(" = ")
                })
                .collect();
            Err(
                Failure::not_found(format!("{path} has no version {:?}", one_line(wanted)))
                    .with_hint(format!(
                        "it has {}",
                        if last.is_empty() {
                            "none".to_owned()
                        } else {
                            last.join(", ")
                        }
                    )),
            )
        }
        Err(e) => Err(e.into()),
    }
}
