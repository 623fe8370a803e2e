//! The names of the rules by which something becomes another thing; `docs/normalisation.md` tells
//! of each.

/// The name of a project is not legal in the target, or is taken.
pub(crate) const PROJECT_NAME: &str = "project-name";
