use globset::{Glob, GlobMatcher};
use tokio_util::sync::CancellationToken;
use tracker_model::{EntityName, Error, ProjectName, Result};

/// How an import is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Where the projects of the source go.
    pub namespace: Namespace,
    /// Other names for projects.
    pub map: ProjectMap,
    /// How many runs are worked on at once; at least 1.
    pub jobs: usize,
    /// Leave alone what is there and has not changed.
    pub incremental: bool,
    /// Read the listing, write nothing, and say what would be done.
    pub dry_run: bool,
    /// How what arrived is proved.
    pub verify: VerifyDepth,
    /// Points of a run after which what was written is made durable, so that a long run that is cut
    /// off is not begun anew.
    pub checkpoint: u64,
    /// Ends the import early but in order: runs in hand are finished or left to be resumed.
    pub cancel: CancellationToken,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            map: ProjectMap::default(),
            jobs: 8,
            incremental: true,
            dry_run: false,
            verify: VerifyDepth::Digest,
            checkpoint: 4_000_000,
            cancel: CancellationToken::new(),
        }
    }
}

/// How what arrived is proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyDepth {
    /// The numbers of points and files are equal.
    Counts,
    /// Every point, parameter and tag is read back from the target, and its digest is equal to
    /// that of what the source sent; files are hashed as they are written.
    #[default]
    Digest,
    /// As [`VerifyDepth::Digest`], and the bytes of files are read back too.
    Values,
}

/// The entity, and perhaps the project, that everything goes into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// The entity; `None` is the store's own, `local`.
    pub entity: Option<EntityName>,
    /// One project for all runs; `None` keeps the projects of the source.
    pub project: Option<ProjectName>,
}

impl Namespace {
    /// `ENTITY` or `ENTITY/PROJECT`.
    ///
    /// # Errors
    /// `InvalidInput` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [entity] => Ok(Self {
                entity: Some(EntityName::new(entity)?),
                project: None,
            }),
            [entity, project] => Ok(Self {
                entity: Some(EntityName::new(entity)?),
                project: Some(ProjectName::new(project)?),
            }),
            _ => Err(Error::invalid(format!(
                "{text:?} is not a namespace: it needs the form ENTITY or ENTITY/PROJECT"
            ))),
        }
    }
}

/// Rules `OLD=NEW` that give projects other names; the first that matches counts.
#[derive(Debug, Clone, Default)]
pub struct ProjectMap(Vec<(String, GlobMatcher, String)>);

impl ProjectMap {
    /// Parses rules. `OLD` is a pattern over the source's names, `*` in `NEW` stands for the
    /// source's name. `NEW` may be `ENTITY/PROJECT` or `PROJECT`.
    ///
    /// # Errors
    /// `InvalidInput` for a rule that is not one.
    pub fn parse<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut out = Vec::new();
        for rule in rules {
            let rule = rule.as_ref();
            let (old, new) = rule
                .rsplit_once('=')
                .filter(|(old, new)| !old.is_empty() && !new.is_empty())
                .ok_or_else(|| {
                    Error::invalid(format!("{rule:?} is not a rule: it needs the form OLD=NEW"))
                })?;
            let glob = Glob::new(old)
                .map_err(|e| Error::invalid(format!("{old:?} is not a pattern: {}", e.kind())))?;
            match new.split('/').collect::<Vec<_>>()[..] {
                [_] => {}
                [entity, _] => drop(EntityName::new(entity)?),
                _ => {
                    return Err(Error::invalid(format!(
                        "{new:?} is not a project: it needs PROJECT or ENTITY/PROJECT"
                    )));
                }
            }
            out.push((rule.to_owned(), glob.compile_matcher(), new.to_owned()));
        }
        Ok(Self(out))
    }

    /// The new entity, if the rule names one, and the new name of a project, if a rule matches.
    pub(crate) fn apply(&self, name: &str) -> Option<(Option<EntityName>, String)> {
        let (_, _, new) = self.0.iter().find(|(_, glob, _)| glob.is_match(name))?;
        let (entity, project) = new
            .split_once('/')
            .map_or((None, new.as_str()), |(e, p)| (Some(e), p));
        Some((
            entity.and_then(|e| EntityName::new(e).ok()),
            project.replace('*', name),
        ))
    }

    /// The rules as they were given.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(rule, ..)| rule.as_str())
    }
}
