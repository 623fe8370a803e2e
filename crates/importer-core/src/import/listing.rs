use futures::{
    StreamExt, TryStreamExt,
    stream::{BoxStream, Fuse},
};
use tracker_model::Result;

use crate::{Finding, Outcome, SourceItem};

/// A listing of a source, in which a thing comes with the rules that changed it: if the thing is
/// left alone, they changed nothing.
pub(super) struct Listing<T> {
    items: Fuse<BoxStream<'static, Result<SourceItem<T>>>>,
    changes: Vec<Finding>,
}

/// What comes next in a listing.
pub(super) enum Listed<T> {
    /// A thing, and what rules changed of it.
    Item(T, Vec<Finding>),
    /// Something that does not come.
    Finding(Finding),
}

impl<T> Listing<T> {
    pub(super) fn new(items: BoxStream<'static, Result<SourceItem<T>>>) -> Self {
        Self {
            items: items.fuse(),
            changes: Vec::new(),
        }
    }

    /// May be dropped at any point and called again.
    pub(super) async fn try_next(&mut self) -> Result<Option<Listed<T>>> {
        loop {
            match self.items.try_next().await? {
                Some(SourceItem::Finding(finding)) if finding.outcome == Outcome::Normalised => {
                    self.changes.push(finding);
                }
                Some(SourceItem::Finding(finding)) => return Ok(Some(Listed::Finding(finding))),
                Some(SourceItem::Item(item)) => {
                    return Ok(Some(Listed::Item(item, std::mem::take(&mut self.changes))));
                }
                // Of things that never came: the rules are named all the same.
                None => return Ok(self.changes.pop().map(Listed::Finding)),
            }
        }
    }
}
