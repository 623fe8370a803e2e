//! Addresses as people write and paste them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tracker_model::{EntityName, Error, ProjectName, ProjectPath, Result, RunId, RunPath};

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

/// The parts of an address: those of a path, or of the page of a run or a project.
fn parts(text: &str) -> Vec<String> {
    let path = match text.split_once("://") {
        // Without the host.
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => text,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let [_, _, "runs" | "sweeps", ..] = parts[..] {
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
    let parts = parts(text);
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
    let parts = parts(text);
    if text.contains("://") && parts.len() != 3 {
        return Err(not_a_run(text));
    }
    let with_colon = |last: &str| {
        last.split_once(':')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let (project, run) = match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [last] => match with_colon(last) {
            Some((project, run)) => (
                ProjectPath::new(entity.clone(), ProjectName::new(project)?),
                run,
            ),
            None => return Err(not_a_run(text)),
        },
        [first, last] => match with_colon(last) {
            Some((project, run)) => (
                ProjectPath::new(EntityName::new(first)?, ProjectName::new(project)?),
                run,
            ),
            None => (
                ProjectPath::new(entity.clone(), ProjectName::new(first)?),
                last.to_owned(),
            ),
        },
        [entity, project, run] => (
            ProjectPath::new(EntityName::new(entity)?, ProjectName::new(project)?),
            run.to_owned(),
        ),
        _ => return Err(not_a_run(text)),
    };
    Ok(project.run(RunId::new(run)?))
}

fn not_a_run(text: &str) -> Error {
    Error::invalid(format!("{text:?} is not a run"))
        .with_hint("write ENTITY/PROJECT/RUN, or PROJECT/RUN in the default entity")
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
            "p:",
        ] {
            assert!(run(text, &local()).is_err(), "{text}");
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
