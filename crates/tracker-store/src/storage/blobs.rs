//! Contents: taking them in, and reading them.

use std::{fs::File, io::Read, ops::Range, path::PathBuf};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinHandle;
use tracker_model::{ByteStream, ContentHasher, Digests, Error, Result, bytes_of};

use super::{Draft, Storage};
use crate::{
    error::{Doing, corrupt, unexpected},
    store::blocking,
};

/// Contents of at most so many bytes live in the catalog: a page of it, rather than a file.
const INLINE: usize = 16 << 10;

/// Bytes that are hashed and written at once, and read at once.
const CHUNK: usize = 1 << 20;

/// Contents that have arrived, and are not known to the catalog yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) digests: Digests,
    pub(crate) body: BlobBody,
}

/// Where arrived contents are.
#[derive(Debug)]
pub(crate) enum BlobBody {
    Inline(Vec<u8>),
    /// In a file without a name.
    Draft(Draft),
    /// In the file that is named after them.
    Placed,
}

/// Hashes and writes.
#[derive(Debug)]
struct Intake {
    storage: Storage,
    hasher: ContentHasher,
    small: Vec<u8>,
    draft: Option<Draft>,
}

impl Intake {
    fn take(&mut self, pieces: &[Bytes]) -> Result<()> {
        use std::io::Write;
        for piece in pieces {
            self.hasher.update(piece);
        }
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if self.draft.is_none() && self.small.len() + bytes <= INLINE {
            pieces
                .iter()
                .for_each(|piece| self.small.extend_from_slice(piece));
            return Ok(());
        }
        let draft = match &mut self.draft {
            Some(draft) => draft,
            none => none.insert(Draft::create(&self.storage)?),
        };
        let small = std::mem::take(&mut self.small);
        let pieces = pieces.iter().map(|piece| &piece[..]);
        for piece in std::iter::once(&small[..]).chain(pieces) {
            draft.file().write_all(piece).doing("write contents")?;
        }
        Ok(())
    }

    fn finish(self) -> Incoming {
        let body = match self.draft {
            Some(draft) => BlobBody::Draft(draft),
            None => BlobBody::Inline(self.small),
        };
        Incoming {
            digests: self.hasher.finish(),
            body,
        }
    }
}

impl Incoming {
    /// Takes contents in. While some are hashed and written, more are fetched.
    pub(crate) async fn receive(storage: &Storage, mut body: ByteStream) -> Result<Self> {
        enum Working {
            Idle(Box<Intake>),
            Busy(JoinHandle<Result<Box<Intake>>>),
        }
        async fn idle(working: Working) -> Result<Box<Intake>> {
            match working {
                Working::Idle(intake) => Ok(intake),
                Working::Busy(task) => task
                    .await
                    .map_err(|e| unexpected("write contents: the thread ended").with_source(e))?,
            }
        }
        let intake = Intake {
            storage: storage.clone(),
            hasher: ContentHasher::new(),
            small: Vec::new(),
            draft: None,
        };
        let mut working = Working::Idle(Box::new(intake));
        let (mut pieces, mut waiting) = (Vec::new(), 0);
        while let Some(piece) = body.try_next().await? {
            waiting += piece.len();
            pieces.push(piece);
            if waiting >= CHUNK {
                let mut intake = idle(working).await?;
                let full = std::mem::take(&mut pieces);
                waiting = 0;
                working = Working::Busy(tokio::task::spawn_blocking(move || {
                    intake.take(&full)?;
                    Ok(intake)
                }));
            }
        }
        let mut intake = idle(working).await?;
        if waiting <= INLINE && intake.draft.is_none() {
            intake.take(&pieces)?;
            return Ok(intake.finish());
        }
        blocking("write contents", move || {
            intake.take(&pieces)?;
            Ok(intake.finish())
        })
        .await
    }

    /// Gives a file the name of its contents, durably.
    pub(crate) fn place(&mut self, storage: &Storage) -> Result<()> {
        match std::mem::replace(&mut self.body, BlobBody::Placed) {
            BlobBody::Draft(draft) => draft.publish(&storage.blob(&self.digests.blake3)),
            other => {
                self.body = other;
                Ok(())
            }
        }
    }
}

impl Storage {
    /// The file of contents with this hash.
    pub(crate) fn blob(&self, blake3: &str) -> PathBuf {
        self.blobs()
            .join(blake3.get(..2).unwrap_or("--"))
            .join(blake3)
    }
}

/// Contents that the catalog knows.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) blake3: String,
    pub(crate) size: u64,
    /// The bytes themselves where they are in the catalog.
    pub(crate) data: Option<Vec<u8>>,
}

/// The contents, or a part of them, clipped to what is there.
pub(crate) async fn read_stored(
    storage: &Storage,
    stored: Stored,
    range: Option<Range<u64>>,
) -> Result<ByteStream> {
    let range = range.unwrap_or(0..stored.size);
    let end = range.end.min(stored.size);
    let range = range.start.min(end)..end;
    if let Some(data) = stored.data {
        let data = Bytes::from(data);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        if data.len() as u64 != stored.size {
            return Err(corrupt(format!(
                "contents {} in the catalog have {} bytes, not {}",
                stored.blake3,
                data.len(),
                stored.size
            )));
        }
        return Ok(bytes_of(data.slice(place(range.start)..place(range.end))));
    }
    let path = storage.blob(&stored.blake3);
    let opened = path.clone();
    let open = blocking("read contents", move || {
        File::open(&opened).doing(format_args!("read {}", opened.display()))
    });
    let file = open.await.map_err(|e| match e.kind() {
        tracker_model::ErrorKind::NotFound => {
            corrupt(format!("the contents {} are missing", path.display()))
        }
        _ => e,
    })?;
    Ok(stream::try_unfold((file, range), move |(file, range)| {
        let path = path.clone();
        async move {
            if range.is_empty() {
                return Ok::<_, Error>(None);
            }
            let n = usize::try_from(range.end - range.start)
                .unwrap_or(CHUNK)
                .min(CHUNK);
            let (piece, file) = blocking("read contents", move || {
                let mut buffer = vec![0; n];
                read_exact_at(&file, &mut buffer, range.start)
                    .doing(format_args!("read {}", path.display()))?;
                Ok((Bytes::from(buffer), file))
            })
            .await?;
            Ok(Some((piece, (file, range.start + n as u64..range.end))))
        }
    })
    .boxed())
}

fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    super::ReadAt::new(file, at).read_exact(buffer)
}
