//! The entries of artifact versions whose files are in local folders.

use std::{any::Any, sync::Arc};

use futures::stream::BoxStream;
use importer_core::{EntryContent, Finding, Kind, SourceEntry, SourceItem};
use tracker_model::{Error, ErrorKind, Result, check_file_name};

use crate::{
    artifact_place::{Place, parts_of},
    blocking::{Filled, filled_by},
    local_files::{LocalFile, LocalFolder, Met},
    mapping::{ModelSource, REFERENCE_ENTRY, UNREACHABLE_VERSION},
};

/// Models that are versions of versions: more are a circle.
const MAX_HOPS: usize = 8;

/// Where the files of a version are.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// Below a folder of this machine.
    Local {
        /// The folder of all artifacts of the run or model.
        folder: LocalFolder,
        /// The folder in it, or one file; empty for all.
        below: String,
        /// The run that they are files of, if they are.
        run: Option<String>,
    },
    /// Nowhere: there are none.
    None,
    /// At an address that cannot be read from here.
    Elsewhere {
        /// The address.
        address: String,
        /// Why it cannot be read.
        reason: String,
    },
}

/// Where a store keeps its artifacts.
pub(crate) trait Places {
    /// The artifacts of a run, if there is such a run.
    fn of_run(&self, run_id: &str) -> Result<Option<Place>>;
    /// The artifacts of a logged model, if there is one.
    fn of_model(&self, model_id: &str) -> Result<Option<Place>>;
    /// The source of a version of a registered model, if there is one.
    fn source_of_version(&self, name: &str, version: u64) -> Result<Option<String>>;
    /// A folder of the store's own, which may be read whatever its name.
    fn own_folder(&self, path: &std::path::Path) -> Result<Option<LocalFolder>>;
}

impl Files {
    /// The files of a logged model or run.
    pub(crate) fn of_place(place: Place, below: &str, run: Option<&str>, address: &str) -> Self {
        match place {
            Place::Folder(folder) => Self::Local {
                folder,
                below: below.to_owned(),
                run: run.map(str::to_owned),
            },
            Place::Empty => Self::None,
            Place::Unreachable(reason) => Self::Elsewhere {
                address: address.to_owned(),
                reason: reason.to_owned(),
            },
        }
    }

    /// The files of a version of a registered model.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn of_version(source: &str, places: &dyn Places) -> Result<Self> {
        let mut source = source.to_owned();
        for _ in 0..MAX_HOPS {
            let found = match ModelSource::parse(&source) {
                ModelSource::Version { name, version } => {
                    match places.source_of_version(&name, version)? {
                        Some(next) => {
                            source = next;
                            continue;
                        }
                        None => None,
                    }
                }
                ModelSource::LoggedModel { model_id, path } => places
                    .of_model(&model_id)?
                    .map(|place| Self::of_place(place, &path, None, &source)),
                ModelSource::Run { run_id, path } => places
                    .of_run(&run_id)?
                    .map(|place| Self::of_place(place, &path, Some(&run_id), &source)),
                ModelSource::Elsewhere => {
                    let (scheme, path) = parts_of(&source);
                    let local = matches!(scheme.as_str(), "" | "file") && !source.is_empty();
                    let folder = if local {
                        places.own_folder(&path)?
                    } else {
                        None
                    };
                    folder.map(|folder| Self::Local {
                        folder,
                        below: String::new(),
                        run: None,
                    })
                }
            };
            return Ok(match found {
                Some(Self::Elsewhere { .. }) | None if source.is_empty() => Self::None,
                Some(Self::Elsewhere { address, .. }) => Self::Elsewhere {
                    address,
                    reason: UNREACHABLE_VERSION.to_owned(),
                },
                Some(files) => files,
                None => Self::Elsewhere {
                    address: source,
                    reason: UNREACHABLE_VERSION.to_owned(),
                },
            });
        }
        Ok(Self::Elsewhere {
            address: source,
            reason: "the version's source is a circle of versions".to_owned(),
        })
    }

    /// The entries.
    pub(crate) fn entries(self) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
        filled_by(move |feed| match self {
            Self::None => Ok(()),
            Self::Elsewhere { address, reason } => {
                feed.item(SourceItem::Finding(Finding::lost(
                    Kind::Entries,
                    &address,
                    reason,
                )))?;
                let content = EntryContent::Reference(address);
                feed.item(SourceItem::Item(SourceEntry {
                    path: REFERENCE_ENTRY.to_owned(),
                    extras: Default::default(),
                    size: None,
                    content,
                }))
            }
            Self::Local { folder, below, run } => {
                let single =
                    check_file_name(&below).is_ok() && folder.path().join(&below).is_file();
                folder.walk(&below, Kind::Entries, &mut |met| -> Filled {
                    feed.item(match met {
                        Met::Finding(finding) => SourceItem::Finding(finding),
                        Met::File(file) => {
                            SourceItem::Item(entry(file, run.as_deref(), &below, single))
                        }
                    })
                })
            }
        })
    }
}

fn entry(file: LocalFile, run: Option<&str>, below: &str, single: bool) -> SourceEntry {
    let (path, size) = (file.name.clone(), Some(file.size));
    let detail: Arc<dyn Any + Send + Sync> = Arc::new(file);
    let content = match run {
        None => EntryContent::Source(detail),
        Some(run) => {
            let name = match (below, single) {
                ("", _) => path.clone(),
                (_, true) => below.to_owned(),
                _ => format!("{below}/{path}"),
            };
            EntryContent::RunFile {
                run: run.to_owned(),
                name,
                detail,
            }
        }
    };
    SourceEntry {
        path,
        extras: Default::default(),
        size,
        content,
    }
}

/// The local file that an entry is.
///
/// # Errors
/// `InvalidInput` for an entry of another source.
pub(crate) fn file_of(content: &EntryContent) -> Result<&LocalFile> {
    let detail = match content {
        EntryContent::Source(detail) | EntryContent::RunFile { detail, .. } => {
            detail.downcast_ref()
        }
        EntryContent::Reference(_) => None,
    };
    detail.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            "the entry was not listed by this source",
        )
    })
}
