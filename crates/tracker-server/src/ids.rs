//! The opaque ids of GraphQL: standard base64 of `Kind:v1:part:part…`.
//!
//! They are names in another dress, so that nothing has to be looked up or kept for them. Names
//! cannot hold a colon; only the last part may.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tracker_model::{CollectionPath, Error, ProjectPath, Result, RunPath, SweepPath};

/// The id of a thing.
pub(crate) fn encode(kind: &str, parts: &[&str]) -> String {
    STANDARD.encode(format!("{kind}:v1:{}", parts.join(":")))
}

/// The parts of the id of a thing of this kind; so many of them.
pub(crate) fn decode<const N: usize>(kind: &str, id: &str) -> Result<[String; N]> {
    let wrong = || {
        Error::invalid(format!(
            "{id:.80?} is not the id of a {}",
            kind.to_lowercase()
        ))
    };
    let bytes = STANDARD
        .decode(id)
        .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(id))
        .map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let rest = text
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix(":v1:"))
        .ok_or_else(wrong)?;
    let parts: Vec<String> = rest.splitn(N, ':').map(str::to_owned).collect();
    parts.try_into().map_err(|_| wrong())
}

pub(crate) fn of_run(path: &RunPath) -> String {
    let (entity, project) = (path.entity.as_str(), path.project.as_str());
    encode("Run", &[path.run.as_str(), project, entity])
}

pub(crate) fn run(id: &str) -> Result<RunPath> {
    let [run, project, entity] = decode("Run", id)?;
    format!("{entity}/{project}/{run}").parse()
}

pub(crate) fn of_project(path: &ProjectPath) -> String {
    encode("Project", &[path.project.as_str(), path.entity.as_str()])
}

pub(crate) fn project(id: &str) -> Result<ProjectPath> {
    let [project, entity] = decode("Project", id)?;
    format!("{entity}/{project}").parse()
}

pub(crate) fn of_sweep(path: &SweepPath) -> String {
    let (entity, project) = (path.entity.as_str(), path.project.as_str());
    encode("Sweep", &[path.sweep.as_str(), project, entity])
}

pub(crate) fn sweep(id: &str) -> Result<SweepPath> {
    let [sweep, project, entity] = decode("Sweep", id)?;
    format!("{entity}/{project}/{sweep}").parse()
}

pub(crate) fn of_collection(path: &CollectionPath) -> String {
    let project = &path.project;
    let parts = [
        project.entity.as_str(),
        project.project.as_str(),
        &path.name,
    ];
    encode("ArtifactCollection", &parts)
}

pub(crate) fn collection(id: &str) -> Result<CollectionPath> {
    let [entity, project, name] = decode("ArtifactCollection", id)?;
    CollectionPath::new(ProjectPath::new(entity.parse()?, project.parse()?), name)
}

/// The number of a project, as clients of W&B want one beside its name.
pub(crate) fn number_of_project(path: &ProjectPath) -> i32 {
    let hash = blake3::hash(path.to_string().as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    i32::from_le_bytes([a, b, c, d & 0x7f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names() {
        let path: RunPath = "team/vision/r1".parse().unwrap();
        assert_eq!(run(&of_run(&path)).unwrap(), path);
        assert_eq!(of_run(&path), "UnVuOnYxOnIxOnZpc2lvbjp0ZWFt");
        let path: ProjectPath = "team/vision".parse().unwrap();
        assert_eq!(project(&of_project(&path)).unwrap(), path);
        assert!(number_of_project(&path) >= 0);
        let path = CollectionPath::new(path, "a:b/c").unwrap();
        assert_eq!(collection(&of_collection(&path)).unwrap(), path);
        assert_eq!(
            decode::<2>("X", &encode("X", &["a", "b:c"])).unwrap(),
            ["a", "b:c"]
        );
    }

    #[test]
    fn other_texts_are_no_ids() {
        let project_id = of_project(&"team/vision".parse().unwrap());
        for id in ["", "?", "UnVu", &project_id, "UnVuOnYxOg==", "/w=="] {
            let error = run(id).unwrap_err();
            assert_eq!(error.kind(), tracker_model::ErrorKind::InvalidInput, "{id}");
        }
    }
}
