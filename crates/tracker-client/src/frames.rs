//! Points on their way between programs of ours, and on a disk until they are sent.
//!
//! A frame is a length (four bytes, little endian) and as many bytes of postcard. A frame of no
//! bytes is the end, so that what was cut off is known.

use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use tracker_model::{
    ByteStream, Error, ErrorKind, MAX_BATCH_POINTS, PointBatch, Result, SeriesInfo,
};

/// The largest frame that is read.
const MAX_FRAME: usize = 64 << 20;
/// About how many bytes of points stand in one frame. A single text may be larger.
const GROUP_BYTES: usize = 8 << 20;

/// What frames say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Frame {
    /// Points of a series from this index on.
    Points {
        /// The index of the first of them.
        at: u64,
        /// The points.
        batch: PointBatch,
    },
    /// What is known of a series.
    Series(SeriesInfo),
    /// Whose points follow.
    Begin {
        /// The writer's token.
        token: String,
        /// What tells the run from an earlier one with its id.
        run: String,
    },
    /// What stands before it is durable.
    Checkpoint,
}

/// The end of all frames.
pub const END: [u8; 4] = [0; 4];

/// Writes a frame behind what is there.
///
/// # Errors
/// `InvalidInput` for a frame that nobody would read.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&END);
    let bytes = postcard::to_extend(frame, std::mem::take(out))
        .map_err(|e| Error::new(ErrorKind::Unexpected, "write points").with_source(e))?;
    *out = bytes;
    let length = out.len() - start - END.len();
    let length = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let length = length.ok_or_else(|| {
        out.truncate(start);
        Error::invalid(format!("a batch of points has more than {MAX_FRAME} bytes"))
    })?;
    if let Some(place) = out.get_mut(start..start + END.len()) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

/// The batch in pieces that fit into frames, each with the index of its first point.
pub fn pieces(at: u64, batch: &PointBatch) -> impl Iterator<Item = (u64, PointBatch)> + '_ {
    let per_point = batch.weight() / batch.len().max(1) + 1;
    let size = (GROUP_BYTES / per_point).clamp(1, MAX_BATCH_POINTS);
    let starts = (0..batch.len()).step_by(size);
    starts.map(move |start| (at + start as u64, batch.slice(start, start + size)))
}

/// Reads frames of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    at: usize,
    read: u64,
    ended: bool,
}

impl Decoder {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next frame that is there; none at the end, too.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            self.ended = true;
            return Ok(None);
        }
        if length > MAX_FRAME {
            return Err(corrupt("a frame of points is too long"));
        }
        let Some(bytes) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = postcard::from_bytes(bytes)
            .map_err(|e| corrupt("a frame of points cannot be read").with_source(e))?;
        self.at += END.len() + length;
        self.read += (END.len() + length) as u64;
        Ok(Some(frame))
    }

    /// How many bytes of frames have been read.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// Whether the end was read.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// The frames of a body up to its end.
///
/// An item is an error of the kind `Corrupt` if there is no end, and those of the body.
pub fn decoded(body: ByteStream) -> BoxStream<'static, Result<Frame>> {
    let state = Some((body, Decoder::new()));
    futures::stream::unfold(state, |state| async move {
        let (mut body, mut decoder) = state?;
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => return Some((Ok(frame), Some((body, decoder)))),
                Ok(None) if decoder.is_ended() => return None,
                Ok(None) => {}
                Err(e) => return Some((Err(e), None)),
            }
            match body.next().await {
                Some(Ok(piece)) => decoder.push(&piece),
                Some(Err(e)) => return Some((Err(e), None)),
                None => return Some((Err(corrupt("the points were cut off")), None)),
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use tracker_model::{BatchBuilder, Timestamp, Value, bytes_of};

    use super::*;

    fn batch(values: impl IntoIterator<Item = Value>) -> PointBatch {
        let mut builder = BatchBuilder::new("a".into());
        for (row, value) in (0..).zip(values) {
            let time = Some(Timestamp::from_parts(i64::MIN, 5));
            assert!(builder.push(Some(row), -1, time, value).is_none());
        }
        builder.take().unwrap()
    }

    #[tokio::test]
    async fn frames_come_back_however_they_are_cut() {
        let frames = [
            Frame::Begin {
                token: "t".to_owned(),
                run: "r".to_owned(),
            },
            Frame::Points {
                at: 7,
                batch: batch([f64::INFINITY, -0.0].map(Value::F64)),
            },
            Frame::Checkpoint,
            Frame::Series(SeriesInfo::new("b".into())),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            encode(frame, &mut bytes).unwrap();
        }
        let cut = bytes.clone();
        bytes.extend_from_slice(&END);
        for size in [1, 3, 1_000] {
            let pieces: Vec<_> = bytes
                .chunks(size)
                .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
                .collect();
            let there = decoded(futures::stream::iter(pieces).boxed());
            let there: Vec<Frame> = there.try_collect().await.unwrap();
            assert_eq!(there, frames);
        }
        for wrong in [
            cut.clone(),
            cut[..cut.len() - 1].to_vec(),
            vec![255; 9],
            vec![1, 0, 0, 0, 99],
        ] {
            let there: Result<Vec<Frame>> = decoded(bytes_of(wrong)).try_collect().await;
            assert_eq!(there.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn large_batches_are_cut() {
        let text = "x".repeat(1 << 20);
        let large = batch((0..20).map(|_| Value::Str(text.clone())));
        let pieces: Vec<_> = pieces(3, &large).collect();
        assert!(pieces.len() > 2);
        let mut at = 3;
        for (start, piece) in &pieces {
            assert_eq!(*start, at);
            at += piece.len() as u64;
            encode(
                &Frame::Points {
                    at: *start,
                    batch: piece.clone(),
                },
                &mut Vec::new(),
            )
            .unwrap();
        }
        assert_eq!(at, 23);
    }
}
