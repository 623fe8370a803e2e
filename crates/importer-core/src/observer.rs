use std::fmt::Debug;

use crate::{Finding, RunLine, Tally};

/// What happens during an import or a check.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// So many more runs were found at the source.
    Listed(u64),
    /// The listing has ended; what was listed is all there is.
    ListingDone,
    /// Work on a run began.
    RunStarted {
        /// The run's id at the source.
        id: String,
        /// Its display name.
        name: Option<String>,
    },
    /// So many more points were read.
    Points(u64),
    /// So many more bytes of files and artifacts were read.
    Bytes(u64),
    /// Work on a run ended, well or not, or there was none to do.
    RunDone(Box<RunLine>),
    /// So many more versions of artifacts are done.
    Artifacts(u64),
    /// Something could not be carried as it was.
    Found(Finding),
    /// The counts so far.
    Totals(Tally),
}

/// Who wants to know what happens. Calls come from many tasks and must return quickly.
pub trait Observer: Debug + Send + Sync + 'static {
    /// Something happened.
    fn on(&self, event: &Event);
}

/// Does not want to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event) {}
}
