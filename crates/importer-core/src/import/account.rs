use crate::{Finding, Kind, KindSet, Tally};

/// What one piece of work (a run, a project, a version) has to tell: what arrived, what was left
/// alone, and what was found. Only a finding says that something was lost or could not be read, so
/// that nothing of the kind is counted without a place and a reason.
#[derive(Debug, Default)]
pub(super) struct Account {
    arrived: Tally,
    findings: Vec<Finding>,
}

/// An account that is closed.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) counts: Tally,
    pub(super) findings: Vec<Finding>,
}

impl Account {
    pub(super) fn arrived(&mut self, kind: Kind, count: u64) {
        self.arrived.arrived(kind, count);
    }

    pub(super) fn skipped(&mut self, kind: Kind, count: u64) {
        self.arrived.skipped(kind, count);
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn found_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// What arrived so far, with rules or without.
    pub(super) fn arrivals(&self, kind: Kind) -> u64 {
        self.arrived.get(kind).identical
    }

    /// Leaves out what was found of kinds that are not wanted.
    pub(super) fn only(mut self, kinds: &KindSet) -> Self {
        self.findings.retain(|f| kinds.contains(f.kind));
        self
    }

    pub(super) fn close(self) -> Told {
        let Self { arrived, findings } = self;
        let mut counts = arrived;
        counts.found(&findings);
        Told { counts, findings }
    }

    /// The account of work that changed nothing: all of it was left alone.
    pub(super) fn close_unchanged(self) -> Told {
        Told::unchanged(&self.close().counts)
    }

    pub(super) fn close_as(self, unchanged: bool) -> Told {
        if unchanged {
            self.close_unchanged()
        } else {
            self.close()
        }
    }
}

impl Told {
    /// What was told of the same data before, all of which were left alone now.
    pub(super) fn unchanged(before: &Tally) -> Self {
        Self {
            counts: before.as_skipped(),
            findings: Vec::new(),
        }
    }

    /// Without what was told of kinds that are not wanted.
    pub(super) fn only(mut self, kinds: &KindSet) -> Self {
        self.counts.retain(kinds);
        self.findings.retain(|f| kinds.contains(f.kind));
        self
    }

    /// Both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.counts.add(&other.counts);
        self.findings.extend(other.findings);
        self
    }
}

impl From<Finding> for Told {
    fn from(finding: Finding) -> Self {
        let mut account = Account::default();
        account.found(finding);
        account.close()
    }
}
