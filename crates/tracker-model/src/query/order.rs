use std::{cmp::Ordering, fmt, sync::Arc};

use query_dsl::{Direction, FilterError, Order, SortKey};

use super::{RunNode, RunVocabulary};
use crate::{Run, RunPath, Timestamp};

/// The order of runs.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum RunOrder {
    /// Newest first, then by id, then by project.
    #[default]
    NewestFirst,
    /// Oldest first, then by id, then by project.
    OldestFirst,
    /// By keys; those that are equal newest first.
    By(RunSort),
}

/// Keys to sort runs by. Clones are cheap.
#[derive(Clone, PartialEq)]
pub struct RunSort(Arc<Order>);

impl RunSort {
    /// The keys, with the names that [`RunNode`] has.
    pub fn resolved(&self) -> &Order {
        &self.0
    }
}

impl fmt::Debug for RunSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.keys.iter().map(ToString::to_string))
            .finish()
    }
}

/// What a run is sorted by; see [`RunOrder::key`].
#[derive(Debug, Clone)]
pub struct RunOrderKey {
    by: Option<SortKey>,
    created_at: Timestamp,
    path: RunPath,
}

impl RunOrderKey {
    /// Which run it is.
    pub fn path(&self) -> &RunPath {
        &self.path
    }
}

impl RunOrder {
    /// Reads keys with their signs, the first decides first: `-created_at`, `+summary_metrics.loss`,
    /// `config.lr`. Names are those of [`RunVocabulary`]. Runs that lack a key, have null there or
    /// NaN, come last whatever the sign, so that the best come first. Without keys, newest first.
    ///
    /// # Errors
    /// A key is no path, or runs do not have it. The pointer is its index.
    pub fn parse<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Result<Self, FilterError> {
        Self::new(Order::parse(keys)?)
    }

    /// As [`RunOrder::parse`], of what was read already.
    ///
    /// # Errors
    /// Runs do not have a key. The pointer is its index.
    pub fn new(order: Order) -> Result<Self, FilterError> {
        let order = order.resolve(&RunVocabulary)?;
        let created = |direction| match order.keys.as_slice() {
            [key] => key.direction == direction && key.path.parts() == ["created_at"],
            _ => false,
        };
        Ok(if order.keys.is_empty() || created(Direction::Descending) {
            Self::NewestFirst
        } else if created(Direction::Ascending) {
            Self::OldestFirst
        } else {
            Self::By(RunSort(Arc::new(order.with_nulls_last().with_nan_last())))
        })
    }

    /// What a run is sorted by.
    pub fn key(&self, run: &Run) -> RunOrderKey {
        RunOrderKey {
            by: match self {
                Self::By(sort) => Some(sort.0.key(RunNode::new(run))),
                _ => None,
            },
            created_at: run.created_at,
            path: run.path.clone(),
        }
    }

    /// Compares two keys that this order gave.
    pub fn compare(&self, a: &RunOrderKey, b: &RunOrderKey) -> Ordering {
        let by_keys = match (self, &a.by, &b.by) {
            (Self::By(sort), Some(a), Some(b)) => sort.0.compare(a, b),
            _ => Ordering::Equal,
        };
        let times = match self {
            Self::OldestFirst => a.created_at.cmp(&b.created_at),
            _ => b.created_at.cmp(&a.created_at),
        };
        by_keys.then(times).then_with(|| {
            let ids = a.path.run.cmp(&b.path.run);
            ids.then_with(|| a.path.project_path().cmp(&b.path.project_path()))
        })
    }
}
