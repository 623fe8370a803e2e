//! Streams that a thread for blocking calls fills, and the errors of such calls.

use std::{io, path::Path};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;
use tracker_model::{Error, ErrorKind, MAX_BATCH_POINTS, Result};

/// Packets that wait for the reader of a stream.
const PACKETS: usize = 2;
/// Items of a packet.
const ITEMS: usize = 256;

/// Why the filling of a stream ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads the stream any more.
    Dropped,
    /// It cannot go on.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The result of a step of filling a stream.
pub(crate) type Filled<T = ()> = std::result::Result<T, Stop>;

enum Packet<T> {
    Items(Vec<T>),
    Failed(Error),
    End,
}

/// Takes the items of a stream. They are sent on in packets.
pub(crate) struct Feed<T> {
    sender: mpsc::Sender<Packet<T>>,
    items: Vec<T>,
    weight: usize,
}

impl<T> Feed<T> {
    /// The next item.
    pub(crate) fn item(&mut self, item: T) -> Filled {
        self.heavy(item, 1)
    }

    /// The next item, which weighs as much as so many points: packets stay small in memory.
    pub(crate) fn heavy(&mut self, item: T, weight: usize) -> Filled {
        self.items.push(item);
        self.weight += weight;
        if self.items.len() >= ITEMS || self.weight >= MAX_BATCH_POINTS {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Whether nobody reads the stream any more.
    pub(crate) fn is_dropped(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends what waits, and waits itself if the reader is behind.
    pub(crate) fn flush(&mut self) -> Filled {
        if self.items.is_empty() {
            return Ok(());
        }
        self.weight = 0;
        let items = std::mem::take(&mut self.items);
        self.sender
            .blocking_send(Packet::Items(items))
            .map_err(|_| Stop::Dropped)
    }
}

/// A stream that `work` fills on a thread for blocking calls, from the moment that somebody reads
/// it. An error of `work` is the stream's last item.
pub(crate) fn filled_by<T, F>(work: F) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    F: FnOnce(&mut Feed<T>) -> Filled + Send + 'static,
{
    stream::once(async move {
        let (sender, receiver) = mpsc::channel(PACKETS);
        tokio::task::spawn_blocking(move || {
            let mut feed = Feed {
                sender,
                items: Vec::new(),
                weight: 0,
            };
            let done = work(&mut feed).and_then(|()| feed.flush());
            let last = match done {
                Ok(()) => Packet::End,
                Err(Stop::Failed(error)) => {
                    if feed.flush().is_err() {
                        return;
                    }
                    Packet::Failed(error)
                }
                Err(Stop::Dropped) => return,
            };
            drop(feed.sender.blocking_send(last));
        });
        stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Packet::Items(items)) => Some((
                    stream::iter(items.into_iter().map(Ok).collect::<Vec<_>>()),
                    Some(receiver),
                )),
                Some(Packet::End) => None,
                Some(Packet::Failed(error)) => Some((stream::iter(vec![Err(error)]), None)),
                None => {
                    let error = Error::new(
                        ErrorKind::Unexpected,
                        "reading the store ended without a word",
                    );
                    Some((stream::iter(vec![Err(error)]), None))
                }
            }
        })
        .flatten()
    })
    .flatten()
    .boxed()
}

/// Runs one blocking call.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(
            ErrorKind::Unexpected,
            "reading the store ended without a word",
        )
        .with_source(e)
    })?
}

/// What a failed call of the file system means to a caller; `doing` as in "reading".
pub(crate) fn io_error(doing: &str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidData => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{doing} {}: {error}", path.display())).with_source(error)
}
