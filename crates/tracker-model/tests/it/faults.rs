//! The suite passes trackers that can do little and say so, and notices faults.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tracker_model::{Tracker, conformance, tracker_conformance};

use crate::faulty::{Fault, FaultyTracker};

/// Runs a part of the suite on a tracker with the fault, which must not pass.
macro_rules! noticed {
    ($part:ident: $($fault:ident)*) => {
        #[test]
        fn $part() {
            for fault in [$(Fault::$fault),*] {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let fresh = || async { Arc::new(FaultyTracker::new(fault)) as Arc<dyn Tracker> };
                let run = || runtime.block_on(conformance::$part(fresh));
                assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{fault:?} was not noticed");
            }
        }
    };
}

tracker_conformance!(|| async { Arc::new(FaultyTracker::new(Fault::Modest)) as Arc<dyn Tracker> });

mod noticed {
    use super::*;

    noticed!(projects: ProjectsInDisorder);
    noticed!(runs: VersionUnchecked SecretlyModest LimitIgnored DeletedListed MergeReplaces MillisecondsOnly);
    noticed!(run_queries: LimitIgnored DeletedListed FilterIgnored CountIgnoresFilter OrderIgnored);
    noticed!(history_bulk: ZeroWithoutSign TimesInMilliseconds FromIndexIgnored StepsIgnored KeysArePrefixes KeysTrimmed
    TokensIgnored CheckpointsIgnored OneStream NoDigests RowsForgotten SecretlyModest);
    noticed!(history_append: GapsAppended OneStream);
    noticed!(history_rows: ByRowsIgnored GroupsUnbounded SeriesByRowsInTurn RowsForgotten SecretlyModest);
    noticed!(rewinds: OneStream TruncatesAfter TruncatesAll NextRowIsSeries SecretlyModest);
    noticed!(samples: SamplesAreTheFirst SamplesAreAll);
    noticed!(files: NamesMadeLegal NamesInLowerCase RangesIgnored BrokenBodiesKept);
    noticed!(contents: ContentsForgotten RangesIgnored SecretlyModest);
    noticed!(artifacts: SecretlyModest IndicesIgnored SourceKeysIgnored AliasesInDrafts RangesIgnored EntryExtrasLost
    VersionExtrasLost);
    noticed!(links: LinkAliasesReplaced LinksAreVersions LinksOfLinks PortfoliosChange SourceKeysIgnored RangesIgnored
    SecretlyModest);
    noticed!(deletions: IndicesGivenAgain DeletionsIgnored);
    noticed!(lineage: UsesTwice StepsOfUsesLost);
    noticed!(sweeps: SweepsInDisorder SweepTextsLost SweepsOfAllProjects SecretlyModest);
    noticed!(logs: LogLinesKept RangesIgnored LogLabelsLost LogHalfWritten LogLengthIsCount SecretlyModest);
    noticed!(reports: ReportSpecsTidied ReportsInDisorder SecretlyModest);
    noticed!(names: RunIdsInLowerCase);
    noticed!(concurrency: LostUpdates VersionUnchecked);
}
