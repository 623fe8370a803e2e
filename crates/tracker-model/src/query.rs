//! Which runs, in which order: filters and orders in the names that W&B's users know.

mod document;
mod fields;
mod filter;
mod order;

pub use document::{RunNode, non_finite};
pub use fields::RunVocabulary;
pub use filter::RunFilter;
pub use order::{RunOrder, RunOrderKey, RunSort};
use query_dsl::FilterError;

use crate::{EntityName, Error, ProjectName, ProjectPath, Run, RunId};

/// What of a run is wanted beside its address and the time of its creation. The rest may come empty,
/// which is quicker where it is big or far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunParts {
    /// [`Run::config`].
    pub config: bool,
    /// [`Run::summary`].
    pub summary: bool,
    /// [`Run::extras`].
    pub extras: bool,
    /// All the rest: its name, its state, people, places, times, tags and whatever else is small.
    pub details: bool,
}

impl RunParts {
    /// Everything; the default.
    pub const ALL: Self = Self {
        config: true,
        summary: true,
        extras: true,
        details: true,
    };
    /// None of the objects.
    pub const NONE: Self = Self {
        config: false,
        summary: false,
        extras: false,
        details: true,
    };
    /// Nothing but the address and the time of creation.
    pub const ADDRESS: Self = Self {
        details: false,
        ..Self::NONE
    };
}

impl Default for RunParts {
    fn default() -> Self {
        Self::ALL
    }
}

/// Which runs, and in which order.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunQuery {
    /// Only of this entity.
    pub entity: Option<EntityName>,
    /// Only of projects with this name.
    pub project: Option<ProjectName>,
    /// Only with this id.
    pub run: Option<RunId>,
    /// Deleted runs too.
    pub include_deleted: bool,
    /// Only runs of which this holds.
    pub filter: Option<RunFilter>,
    /// The order.
    pub order: RunOrder,
    /// At most so many.
    pub limit: Option<u64>,
    /// What is wanted of each. Filter and order do not depend on it.
    pub parts: RunParts,
}

impl RunQuery {
    /// All runs that are not deleted.
    pub fn new() -> Self {
        Self::default()
    }

    /// The runs of one project.
    pub fn of_project(path: &ProjectPath) -> Self {
        Self {
            entity: Some(path.entity.clone()),
            project: Some(path.project.clone()),
            ..Self::default()
        }
    }

    crate::run::setters! {
        /// Only of this entity.
        with_entity(entity: EntityName) = Some(entity);
        /// Only of projects with this name.
        with_project(project: ProjectName) = Some(project);
        /// Only with this id.
        with_run(run: RunId) = Some(run);
        /// Deleted runs too, or not.
        with_deleted(include_deleted: bool) = include_deleted;
        /// Only runs of which this holds.
        with_filter(filter: RunFilter) = Some(filter);
        /// The order.
        with_order(order: RunOrder) = order;
        /// At most so many.
        with_limit(limit: u64) = Some(limit);
        /// What is wanted of each.
        with_parts(parts: RunParts) = parts;
    }

    /// Whether the run is one of those asked for; order and limit aside.
    pub fn matches(&self, run: &Run) -> bool {
        self.entity.as_ref().is_none_or(|e| *e == run.path.entity)
            && self.project.as_ref().is_none_or(|p| *p == run.path.project)
            && self.run.as_ref().is_none_or(|r| *r == run.path.run)
            && (self.include_deleted || !run.deleted)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(run))
    }
}

impl Error {
    /// A filter or an order that is refused: `InvalidInput`, with what was probably meant as hint.
    pub fn of_query(error: FilterError) -> Self {
        let hint = error
            .suggestion()
            .map(|word| format!("did you mean {word}?"));
        let refused = Self::invalid(error.with_suggestion(None::<String>).to_string());
        match hint {
            Some(hint) => refused.with_hint(hint),
            None => refused,
        }
    }
}
