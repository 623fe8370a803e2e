//! Fingerprints of runs from the sizes and times of their files, without reading these.

use std::{
    convert::Infallible,
    fs, io,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use importer_core::Kind;

use super::{
    layout::{INPUTS, METRICS, OUTPUTS, PARAMS, TAGS},
    tree::{Leaf, measure_values},
};
use crate::{
    local_files::{LocalFolder, Met},
    mapping::Fingerprint,
};

/// How long two changes of a file may lie apart and still give it the same time: the tick of the
/// kernel's clock, or that of file systems which count in seconds.
const TICK: Duration = Duration::from_millis(20);
const COARSE_TICK: Duration = Duration::from_millis(2100);

/// Hashes what a folder holds.
#[derive(Debug, Default)]
struct Stamp {
    hash: Fingerprint,
    newest: Option<SystemTime>,
}

impl Stamp {
    fn file(&mut self, name: &str, meta: &io::Result<fs::Metadata>) {
        self.hash.field(name);
        let Ok(meta) = meta else {
            {
                self.hash.field("gone");
                return;
            }
        };
        let time = meta.modified().unwrap_or(UNIX_EPOCH);
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.hash
            .field(meta.len().to_le_bytes())
            .field(since.as_nanos().to_le_bytes());
        self.newest = self.newest.max(Some(time));
    }

    fn values(&mut self, folder: &Path) {
        let done: Result<(), Infallible> = measure_values(folder, Kind::Runs, &mut |leaf| {
            match leaf {
                Leaf::File { key, meta, .. } => self.file(&key, &meta),
                Leaf::Odd(path, meta) => self.file(&path.display().to_string(), &meta),
                Leaf::Finding(finding) => {
                    self.hash.field(finding.place).field(finding.reason);
                }
            }
            Ok(())
        });
        let Ok(()) = done;
    }

    fn artifacts(&mut self, folder: &LocalFolder) {
        let done: Result<(), Infallible> = folder.walk("", Kind::Files, &mut |met| {
            match met {
                Met::File(file) => {
                    self.hash.field(&file.name).optional(file.mark());
                    self.newest = self.newest.max(file.modified());
                }
                Met::Finding(finding) => {
                    self.hash.field(finding.place).field(finding.reason);
                }
            }
            Ok(())
        });
        let Ok(()) = done;
    }

    /// How long until a further change is sure to give a file another time.
    fn unsettled(&self) -> Option<Duration> {
        let newest = self.newest?;
        let whole_second = newest
            .duration_since(UNIX_EPOCH)
            .is_ok_and(|d| d.subsec_nanos() == 0);
        let age = SystemTime::now().duration_since(newest).ok()?;
        (if whole_second { COARSE_TICK } else { TICK }).checked_sub(age)
    }
}

/// A hash over the files of a run: equal only if nobody has written to any of them.
///
/// A file that has changed just now could change again within the same tick of the clock, and look
/// the same: so it waits for the next tick, once. A file that is written all the time gives a hash
/// that never comes again.
pub(super) fn run_fingerprint(
    meta: &[u8],
    folder: &Path,
    artifacts: Option<&LocalFolder>,
) -> String {
    settled(|| {
        let mut stamp = Stamp::default();
        stamp.hash.field(meta);
        for part in [METRICS, PARAMS, TAGS, INPUTS, OUTPUTS] {
            stamp.hash.field(part);
            stamp.values(&folder.join(part));
        }
        stamp.hash.field("artifacts");
        if let Some(artifacts) = artifacts {
            stamp.artifacts(artifacts);
        }
        stamp
    })
}

/// A hash over the files below a folder; see [`run_fingerprint`].
pub(crate) fn files_fingerprint(artifacts: &LocalFolder) -> String {
    settled(|| {
        let mut stamp = Stamp::default();
        stamp.artifacts(artifacts);
        stamp
    })
}

/// A hash over the values below a folder; see [`run_fingerprint`].
pub(super) fn values_fingerprint(folder: &Path) -> String {
    settled(|| {
        let mut stamp = Stamp::default();
        stamp.values(folder);
        stamp
    })
}

fn settled(look: impl Fn() -> Stamp) -> String {
    let mut stamp = look();
    if let Some(wait) = stamp.unsettled() {
        thread::sleep(wait);
        stamp = look();
        if stamp.unsettled().is_some() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            stamp.hash.field(now.as_nanos().to_le_bytes());
        }
    }
    stamp.hash.finish()
}
