//! Histories as Parquet: how points become columns and columns points, what a segment says of its
//! contents, and how the segments of a run make up its series.

mod chunk;
mod columns;
mod encoder;
mod format;
mod group;
mod index;
mod join;
mod lanes;
mod points;
mod rows;
mod scan;
mod segment;
mod tail;
mod view;

pub(crate) use encoder::{Buffer, Encoder, REREAD, Sealed};
pub(crate) use index::{Course, Part, decode, encode};
pub(crate) use join::push_joined;
pub(crate) use lanes::{Lanes, MAX_LANES, Numbering, lane_points};
pub(crate) use rows::{by_rows, is_small};
pub(crate) use scan::{Inputs, Plan, check_segment};
pub(crate) use segment::SegmentBody;
pub(crate) use tail::{TailChunk, by_series, decode_tail, encode_tail, observe, select};
pub(crate) use view::{Segment, Series, View};

use tracker_model::{PointBatch, Result};

/// Points that are read when they are asked for.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<PointBatch>> + Send>;
