use std::collections::BTreeMap;

use bytes::Bytes;
use tracker_model::{Result, SeriesInfo, SeriesKey};

use super::index::{Course, Part, Shape};
use crate::error::corrupt;

/// A segment as the catalog has it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) id: i64,
    /// Where the bytes are: a path below the folder of histories, or here.
    pub(crate) path: Option<String>,
    pub(crate) data: Option<Bytes>,
    pub(crate) bytes: u64,
    pub(crate) points: u64,
    /// Whether it waits for a commit.
    pub(crate) staged: bool,
}

/// Lines of a segment that are a piece of a series, as much of a part as is not replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// The place of the segment in the view.
    pub(crate) segment: usize,
    pub(crate) line: u64,
    pub(crate) count: u64,
    pub(crate) from: u64,
    pub(crate) shape: Shape,
}

/// A series and where its points are.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) info: SeriesInfo,
    pub(crate) course: Course,
    /// The last value is long, and only in the file.
    pub(crate) long_last: bool,
    pub(crate) extents: Vec<Extent>,
}

/// What the segments of a run make together.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) segments: Vec<Segment>,
    pub(crate) series: BTreeMap<SeriesKey, Series>,
}

impl View {
    /// Puts a later segment on top.
    pub(crate) fn push(&mut self, segment: Segment, parts: Vec<Part>) -> Result<()> {
        let place = self.segments.len();
        self.segments.push(segment);
        for part in parts {
            self.put(place, part)?;
        }
        Ok(())
    }

    fn put(&mut self, segment: usize, part: Part) -> Result<()> {
        let extent = Extent {
            segment,
            line: part.line,
            count: part.count,
            from: part.from,
            shape: part.shape,
        };
        let Some(series) = self.series.get_mut(part.key()) else {
            if part.from != 0 {
                return Err(gap(&part));
            }
            let series = Series {
                info: part.info,
                course: part.course,
                long_last: part.long_last,
                extents: vec![extent],
            };
            self.series.insert(series.info.key.clone(), series);
            return Ok(());
        };
        while series.extents.last().is_some_and(|e| e.from >= part.from) {
            series.extents.pop();
        }
        match series.extents.last_mut() {
            Some(before) if before.from + before.count < part.from => return Err(gap(&part)),
            Some(before) => before.count = part.from - before.from,
            None if part.from != 0 => return Err(gap(&part)),
            None => {}
        }
        series.extents.push(extent);
        series.info = part.info;
        series.course = part.course;
        series.long_last = part.long_last;
        Ok(())
    }

    /// What the segments before this place make.
    pub(crate) fn below(&self, place: usize) -> Self {
        let below = |(key, s): (&SeriesKey, &Series)| {
            let mut s = s.clone();
            s.extents.retain(|e| e.segment < place);
            let count = s.extents.last().map(|e| e.from + e.count)?;
            if count != s.info.count {
                // What else is known is of the whole series.
                s.info = SeriesInfo::new(key.clone());
                s.info.count = count;
            }
            Some((key.clone(), s))
        };
        let segments = self.segments.iter().take(place).cloned().collect();
        Self {
            segments,
            series: self.series.iter().filter_map(below).collect(),
        }
    }

    /// The index of the first point of a series that is in the segments from this place on.
    pub(crate) fn begin(&self, key: &SeriesKey, place: usize) -> u64 {
        let extents = self.series.get(key).map_or(&[][..], |s| &s.extents);
        extents
            .iter()
            .find(|e| e.segment >= place)
            .map_or(0, |e| e.from)
    }

    /// The segments of which nothing is seen any more, by their places.
    pub(crate) fn replaced(&self) -> Vec<usize> {
        let mut used = vec![false; self.segments.len()];
        for extent in self.series.values().flat_map(|s| &s.extents) {
            if let Some(used) = used.get_mut(extent.segment) {
                *used = true;
            }
        }
        (0..used.len())
            .filter(|i| used.get(*i) == Some(&false))
            .collect()
    }
}

fn gap(part: &Part) -> tracker_model::Error {
    corrupt(format!(
        "the history has a gap in its series {:?} before point {}",
        part.key(),
        part.from
    ))
}
