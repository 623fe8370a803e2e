//! Addresses as people write and paste them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tracker_model::{
    EntityName, Error, ProjectName, ProjectPath, Result, RunId, RunPath, SweepId, SweepPath,
};

/// What the parts of the address of a page do not hold as it is.
const NOT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The page of a run.
pub(crate) fn page(base: &str, run: &RunPath) -> String {
    let plain = |text| utf8_percent_encode(text, NOT_PLAIN);
    format!(
        "{base}/{}/{}/runs/{}",
        plain(run.entity.as_str()),
        plain(run.project.as_str()),
        plain(run.run.as_str())
    )
}

/// The parts of an address: those of a path, or of the page of a run, a sweep or a project. The
/// word on pages that says what the third part is must be `kind`.
fn parts(text: &str, kind: &str) -> Vec<String> {
    let path = match text.split_once("://") {
        // Without the host.
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => text,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let [_, _, word, _, ..] = parts[..]
        && word == kind
    {
        parts.remove(2);
    }
    if !text.contains("://") {
        return parts.into_iter().map(ToOwned::to_owned).collect();
    }
    // What comes behind on a page are its tabs.
    let parts = parts.into_iter().take(3);
    let plain = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    parts.map(plain).collect()
}

/// `ENTITY/PROJECT` or `PROJECT`.
pub(crate) fn project(text: &str, entity: &EntityName) -> Result<ProjectPath> {
    let parts = parts(text, "runs");
    match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [project] => Ok(ProjectPath::new(entity.clone(), ProjectName::new(project)?)),
        [entity, project] => Ok(ProjectPath::new(
            EntityName::new(entity)?,
            ProjectName::new(project)?,
        )),
        _ => Err(Error::invalid(format!("{text:?} is not a project"))
            .with_hint("write ENTITY/PROJECT, or PROJECT in the default entity")),
    }
}

/// `ENTITY/PROJECT/RUN`, `PROJECT/RUN`, or either with a colon before the run.
pub(crate) fn run(text: &str, entity: &EntityName) -> Result<RunPath> {
    let none = || {
        Error::invalid(format!("{text:?} is not a run"))
            .with_hint("write ENTITY/PROJECT/RUN, or PROJECT/RUN in the default entity")
    };
    let (project, id) = member(text, entity, "runs")?.ok_or_else(none)?;
    Ok(project.run(RunId::new(id)?))
}

/// As [`run`], of a sweep.
pub(crate) fn sweep(text: &str, entity: &EntityName) -> Result<SweepPath> {
    let none = || {
        Error::invalid(format!("{text:?} is not a sweep"))
            .with_hint("write ENTITY/PROJECT/SWEEP, or PROJECT/SWEEP in the default entity")
    };
    let (project, id) = member(text, entity, "sweeps")?.ok_or_else(none)?;
    Ok(project.sweep(SweepId::new(id)?))
}

/// A project and the id of something in it.
fn member(text: &str, entity: &EntityName, kind: &str) -> Result<Option<(ProjectPath, String)>> {
    let parts = parts(text, kind);
    // The page of a run or a sweep has the word that says which.
    let page = text.contains("://");
    if page && (parts.len() != 3 || !text.contains(&format!("/{kind}/"))) {
        return Ok(None);
    }
    let with_colon = |last: &str| {
        last.split_once(':')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let project = |entity: EntityName, name: &str| -> Result<ProjectPath> {
        Ok(ProjectPath::new(entity, ProjectName::new(name)?))
    };
    Ok(
        match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [last] => match with_colon(last) {
                Some((name, id)) => Some((project(entity.clone(), &name)?, id)),
                None => None,
            },
            [first, last] => Some(match with_colon(last) {
                Some((name, id)) => (project(EntityName::new(first)?, &name)?, id),
                None => (project(entity.clone(), first)?, last.to_owned()),
            }),
            [owner, name, id] => Some((project(EntityName::new(owner)?, name)?, id.to_owned())),
            _ => None,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> EntityName {
        EntityName::new("local").unwrap()
    }

    #[test]
    fn runs_as_they_are_written() {
        for (text, wanted) in [
            ("p/r", "local/p/r"),
            ("p:r", "local/p/r"),
            ("e/p/r", "e/p/r"),
            ("/e/p/r", "e/p/r"),
            ("/e/p/runs/r", "e/p/r"),
            ("e/p:r", "e/p/r"),
            ("https://example.org/e/p/runs/r", "e/p/r"),
            (
                "https://example.org/e/%C3%BCn%C3%AF%20p/runs/r",
                "e/ünï p/r",
            ),
            ("https://example.org/e/p/runs/r/overview?nw=x#y", "e/p/r"),
            ("e/ünï 实/r-1", "e/ünï 实/r-1"),
        ] {
            assert_eq!(run(text, &local()).unwrap().to_string(), wanted, "{text}");
        }
        for text in [
            "",
            "r",
            "a/b/c/d",
            "e/../r",
            "e/%70/r",
            "https://example.org/e/%2e%2e/runs/r",
            "https://example.org/e/p",
            "https://example.org/e/p/sweeps/s",
            "e/p/sweeps/s",
            "p:",
        ] {
            assert!(run(text, &local()).is_err(), "{text}");
        }
    }

    #[test]
    fn sweeps_as_they_are_written() {
        for (text, wanted) in [
            ("p/s", "local/p/s"),
            ("e/p/s", "e/p/s"),
            ("e/p/sweeps/s", "e/p/s"),
            ("https://example.org/e/p/sweeps/s?nw=x", "e/p/s"),
        ] {
            assert_eq!(sweep(text, &local()).unwrap().to_string(), wanted, "{text}");
        }
        for text in ["s", "https://example.org/e/p/runs/s", "a/b/c/d"] {
            assert!(sweep(text, &local()).is_err(), "{text}");
        }
    }

    #[test]
    fn projects_as_they_are_written() {
        for (text, wanted) in [
            ("p", "local/p"),
            ("e/p", "e/p"),
            ("/e/p/", "e/p"),
            ("https://example.org/e/p?x", "e/p"),
        ] {
            assert_eq!(
                project(text, &local()).unwrap().to_string(),
                wanted,
                "{text}"
            );
        }
        for text in ["", "a/b/c", "..", "a//b"] {
            assert!(project(text, &local()).is_err(), "{text}");
        }
    }
}
