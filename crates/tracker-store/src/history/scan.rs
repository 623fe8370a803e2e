//! Reading the points of series from their segments.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::File,
    io::{self, Read},
    ops::{Range, RangeInclusive},
    sync::{Arc, OnceLock},
};

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
            ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData},
        page_index::column_index::ColumnIndexMetaData,
        reader::{ChunkReader, Length},
    },
};
use tracker_model::{MAX_BATCH_POINTS, PointBatch, Result, SeriesKey, ValueKind};

use super::{
    columns::{SCHEMA, at},
    index::{Part, Shape},
    points,
    view::{Segment, View},
};
use crate::{
    error::{Doing, corrupt},
    storage::{ReadAt, Storage},
};

/// Bytes of a batch of texts, about.
const BATCH_BYTES: i64 = 4 << 20;

/// Lines to read of one segment, in order of lines.
#[derive(Debug)]
struct Source {
    segment: Segment,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    key: SeriesKey,
    line: u64,
    count: u64,
    shape: Shape,
}

impl Wanted {
    /// The lines that are in one of these spans, which are in order.
    fn among(&self, spans: &[Range<u64>]) -> impl Iterator<Item = Self> {
        let (first, end) = (self.line, self.line + self.count);
        let from = spans.partition_point(|span| span.end <= first);
        let spans = spans.get(from..).unwrap_or_default().iter();
        let spans = spans.take_while(move |span| span.start < end);
        spans.map(move |span| {
            let line = span.start.max(first);
            Self {
                key: self.key.clone(),
                line,
                count: span.end.min(end) - line,
                shape: self.shape,
            }
        })
    }
}

/// Which lines of which segments, in the order that keeps every series in order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    sources: VecDeque<Source>,
}

impl Plan {
    /// The points of these series (or all) with an index in the range.
    pub(crate) fn new(
        view: &View,
        keys: Option<&BTreeSet<SeriesKey>>,
        indices: Range<u64>,
    ) -> Self {
        Self::among(view, keys, indices, 0)
    }

    /// The points of these series that are in the segments from this place on.
    pub(crate) fn of_segments(view: &View, keys: &BTreeSet<SeriesKey>, first: usize) -> Self {
        Self::among(view, Some(keys), 0..u64::MAX, first)
    }

    fn among(
        view: &View,
        keys: Option<&BTreeSet<SeriesKey>>,
        indices: Range<u64>,
        first: usize,
    ) -> Self {
        let mut wanted: Vec<Vec<Wanted>> = view.segments.iter().map(|_| Vec::new()).collect();
        let mut take = |key: &SeriesKey, series: &super::view::Series| {
            for extent in series.extents.iter().filter(|e| e.segment >= first) {
                let start = extent.from.max(indices.start);
                let end = (extent.from + extent.count).min(indices.end);
                if let (true, Some(wanted)) = (start < end, wanted.get_mut(extent.segment)) {
                    wanted.push(Wanted {
                        key: key.clone(),
                        line: extent.line + (start - extent.from),
                        count: end - start,
                        shape: extent.shape,
                    });
                }
            }
        };
        match keys {
            None => view
                .series
                .iter()
                .for_each(|(key, series)| take(key, series)),
            Some(keys) => {
                for (key, series) in keys
                    .iter()
                    .filter_map(|key| Some((key, view.series.get(key)?)))
                {
                    take(key, series);
                }
            }
        }
        let sources = view
            .segments
            .iter()
            .zip(wanted)
            .filter(|(_, wanted)| !wanted.is_empty());
        let sources = sources.map(|(segment, mut wanted)| {
            wanted.sort_unstable_by_key(|w| w.line);
            Source {
                segment: segment.clone(),
                wanted,
            }
        });
        Self {
            sources: sources.collect(),
        }
    }

    /// Leaves out lines of which the files say that none has a step in the range. Others may be left.
    pub(crate) fn within(
        mut self,
        steps: Option<&RangeInclusive<i64>>,
        inputs: &mut Inputs,
    ) -> Result<Self> {
        let Some(steps) = steps else { return Ok(self) };
        for source in &mut self.sources {
            let input = inputs.open(&source.segment)?;
            let spans = input
                .spans(steps)
                .doing(format_args!("read {}", input.name))?;
            let Some(spans) = spans else { continue };
            let wanted = std::mem::take(&mut source.wanted);
            source.wanted = wanted.iter().flat_map(|w| w.among(&spans)).collect();
        }
        self.sources.retain(|source| !source.wanted.is_empty());
        Ok(self)
    }

    /// How many points there are.
    pub(crate) fn points(&self) -> u64 {
        self.sources
            .iter()
            .flat_map(|s| &s.wanted)
            .map(|w| w.count)
            .sum()
    }

    /// The segments in the catalog whose bytes are missing here.
    pub(crate) fn missing_data(&self) -> Vec<i64> {
        let missing = |s: &&Source| s.segment.path.is_none() && s.segment.data.is_none();
        self.sources
            .iter()
            .filter(missing)
            .map(|s| s.segment.id)
            .collect()
    }

    /// Gives the bytes of a segment in the catalog.
    pub(crate) fn set_data(&mut self, id: i64, data: &Bytes) {
        for source in self.sources.iter_mut().filter(|s| s.segment.id == id) {
            source.segment.data = Some(data.clone());
        }
    }

    /// Opens the files, all of them, so that what is deleted later can still be read.
    pub(crate) fn open(self, storage: &Storage) -> Result<Scan> {
        self.open_in(&mut Inputs::new(storage), MAX_BATCH_POINTS)
    }

    /// Opens the files that are not open yet, to read them in batches of at most so many points.
    pub(crate) fn open_in(self, inputs: &mut Inputs, batch_points: usize) -> Result<Scan> {
        let sources = self.sources.into_iter();
        let sources = sources.map(|source| Ok((inputs.open(&source.segment)?, source.wanted)));
        Ok(Scan {
            inputs: sources.collect::<Result<_>>()?,
            batch_points,
            current: None,
            ready: VecDeque::new(),
        })
    }
}

/// Segments that are open, each once.
pub(crate) struct Inputs {
    storage: Storage,
    open: HashMap<i64, Input>,
}

impl Inputs {
    pub(crate) fn new(storage: &Storage) -> Self {
        Self {
            storage: storage.clone(),
            open: HashMap::new(),
        }
    }

    fn open(&mut self, segment: &Segment) -> Result<Input> {
        if let Some(input) = self.open.get(&segment.id) {
            return Ok(input.clone());
        }
        let input = Input::open(&self.storage, segment)?;
        self.open.insert(segment.id, input.clone());
        Ok(input)
    }
}

/// Reads batches one after the other. After an error there are no more.
pub(crate) struct Scan {
    inputs: VecDeque<(Input, Vec<Wanted>)>,
    batch_points: usize,
    current: Option<Current>,
    ready: VecDeque<PointBatch>,
}

struct Current {
    name: Arc<str>,
    reader: ParquetRecordBatchReader,
    wanted: VecDeque<Wanted>,
}

impl Iterator for Scan {
    type Item = Result<PointBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => {
                    self.inputs.clear();
                    self.current = None;
                    return Some(Err(e));
                }
            }
        }
    }
}

impl Scan {
    /// Reads some more; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        let Some(current) = &mut self.current else {
            let Some((input, wanted)) = self.inputs.pop_front() else {
                return Ok(false);
            };
            let name = Arc::clone(&input.name);
            self.current = Some(
                Current::open(input, wanted, self.batch_points)
                    .doing(format_args!("read the history {name}"))?,
            );
            return Ok(true);
        };
        match current.reader.next() {
            Some(lines) => {
                let lines = lines
                    .map_err(ParquetError::from)
                    .doing(format_args!("read {}", current.name))?;
                current.split(&lines, &mut self.ready)?;
            }
            None if current.wanted.is_empty() => self.current = None,
            None => {
                return Err(corrupt(format!(
                    "{} has fewer lines than its index says",
                    current.name
                )));
            }
        }
        Ok(true)
    }
}

impl Current {
    fn open(input: Input, wanted: Vec<Wanted>, batch_points: usize) -> Result<Self> {
        let doing = format!("read {}", input.name);
        let name = Arc::clone(&input.name);
        let metadata = input.metadata().doing(&doing)?;
        let groups = metadata.metadata().row_groups();

        let mut shape = Shape::default();
        wanted.iter().for_each(|w| shape.extend(w.shape));
        let mask = ProjectionMask::columns(metadata.parquet_schema(), names(shape));

        // Row groups that hold wanted lines, and the wanted lines among theirs.
        let (mut chosen, mut ranges): (Vec<usize>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        let (mut first, mut before, mut text_bytes, mut lines) = (0u64, 0usize, 0i64, 0i64);
        let mut next = wanted.iter().map(|w| w.line..w.line + w.count).peekable();
        for (i, group) in groups.iter().enumerate() {
            let size = u64::try_from(group.num_rows())
                .map_err(|_| corrupt(format!("{doing}: negative size")))?;
            let end = first + size;
            let had = ranges.len();
            while let Some(range) = next.peek().cloned().filter(|r| r.start < end) {
                let to_place = |line: u64| usize::try_from(line - first).unwrap_or(usize::MAX);
                let (from, to) = (range.start.max(first), range.end.min(end));
                let (from, to) = (before + to_place(from), before + to_place(to));
                match ranges.last_mut() {
                    Some(last) if last.end == from => last.end = to,
                    _ => ranges.push(from..to),
                }
                if range.end > end {
                    break;
                }
                next.next();
            }
            let touched = ranges.len() > had || ranges.last().is_some_and(|r| r.end > before);
            if touched {
                chosen.push(i);
                before += usize::try_from(size).unwrap_or(usize::MAX);
                lines += group.num_rows();
                let texts = [at::TEXT, at::JSON]
                    .iter()
                    .filter_map(|c| group.columns().get(*c));
                text_bytes += texts.map(|c| c.uncompressed_size()).sum::<i64>();
            }
            first = end;
        }
        if next.peek().is_some() {
            return Err(corrupt(format!(
                "{doing}: it has fewer lines than its index says"
            )));
        }
        let has_text =
            shape.kinds.contains(ValueKind::Str) || shape.kinds.contains(ValueKind::Json);
        let batch_size = if has_text {
            // As much less as there are readers side by side.
            let share = i64::try_from(MAX_BATCH_POINTS / batch_points.max(1)).unwrap_or(1);
            let bytes = BATCH_BYTES / share.max(1);
            let average = text_bytes / lines.max(1) + 64;
            usize::try_from(bytes / average)
                .unwrap_or(1)
                .clamp(1, batch_points)
        } else {
            batch_points
        };
        let selected: usize = ranges.iter().map(|r| r.end - r.start).sum();
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata)
            .with_projection(mask)
            .with_row_groups(chosen)
            .with_batch_size(batch_size.min(selected.max(1)));
        if selected < before {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(
                ranges.into_iter(),
                before,
            ));
        }
        Ok(Self {
            name,
            reader: builder.build().doing(&doing)?,
            wanted: wanted.into(),
        })
    }

    /// Cuts lines where series end.
    fn split(&mut self, lines: &RecordBatch, ready: &mut VecDeque<PointBatch>) -> Result<()> {
        let mut out = Vec::new();
        let mut done = 0;
        while done < lines.num_rows() {
            let Some(wanted) = self.wanted.front_mut() else {
                return Err(corrupt(format!(
                    "{} has more lines than its index says",
                    self.name
                )));
            };
            let n = usize::try_from(wanted.count)
                .unwrap_or(usize::MAX)
                .min(lines.num_rows() - done);
            points::batches(&wanted.key, &lines.slice(done, n), &mut out).doing(&self.name)?;
            done += n;
            wanted.count -= n as u64;
            if wanted.count == 0 {
                self.wanted.pop_front();
            }
        }
        ready.extend(out);
        Ok(())
    }
}

fn names(shape: Shape) -> impl Iterator<Item = &'static str> {
    let kinds = shape.kinds;
    let columns = [
        (at::ROW, shape.rows),
        (at::STEP, true),
        (at::TIME, shape.times),
        (at::TIME_NS, shape.sub_ns),
        (at::VALUE, kinds.contains(ValueKind::F64)),
        (at::INT, kinds.contains(ValueKind::I64)),
        (at::BOOL, kinds.contains(ValueKind::Bool)),
        (at::TEXT, kinds.contains(ValueKind::Str)),
        (at::JSON, kinds.contains(ValueKind::Json)),
    ];
    columns
        .into_iter()
        .filter(|(_, used)| *used)
        .map(|(at, _)| SCHEMA.field(at).name().as_str())
}

/// The bytes of a segment, read at any place without a common position.
#[derive(Clone)]
struct Input {
    name: Arc<str>,
    body: Body,
    metadata: Arc<OnceLock<ArrowReaderMetadata>>,
}

impl Input {
    fn new(name: String, body: Body) -> Self {
        Self {
            name: name.into(),
            body,
            metadata: Arc::default(),
        }
    }

    /// The end of the file, read once.
    fn metadata(&self) -> Result<ArrowReaderMetadata, ParquetError> {
        if let Some(known) = self.metadata.get() {
            return Ok(known.clone());
        }
        // Of the steps alone there is a column index.
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Optional)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        let read = ArrowReaderMetadata::load(self, options)?;
        check_places(read.metadata())?;
        Ok(self.metadata.get_or_init(|| read).clone())
    }

    /// The lines of the pages that have steps in the range, in order; `None` if that is not known.
    fn spans(&self, steps: &RangeInclusive<i64>) -> Result<Option<Vec<Range<u64>>>, ParquetError> {
        let metadata = self.metadata()?;
        let mut spans: Vec<Range<u64>> = Vec::new();
        let mut first = 0;
        for (i, group) in metadata.metadata().row_groups().iter().enumerate() {
            let lines = u64::try_from(group.num_rows()).unwrap_or_default();
            let pages = metadata.metadata().page_index_for_row_group(i);
            let (Some(ColumnIndexMetaData::INT64(index)), Some(places)) =
                (pages.column_index(at::STEP), pages.page_locations(at::STEP))
            else {
                return Ok(None);
            };
            let starts = places.iter().map(|place| place.first_row_index);
            let starts = starts.map(|start| u64::try_from(start).unwrap_or_default().min(lines));
            let ends = starts.clone().skip(1).chain([lines]);
            for (page, (start, end)) in starts.zip(ends).enumerate() {
                let known = index.min_value(page).zip(index.max_value(page));
                let apart =
                    known.is_some_and(|(least, most)| steps.end() < least || most < steps.start());
                match spans.last_mut() {
                    _ if apart || start >= end => {}
                    Some(last) if last.end == first + start => last.end = first + end,
                    _ => spans.push(first + start..first + end),
                }
            }
            first += lines;
        }
        Ok(Some(spans))
    }

    fn open(storage: &Storage, segment: &Segment) -> Result<Self> {
        match (&segment.path, &segment.data) {
            (Some(path), _) => {
                let path = storage.history().join(path);
                let name = path.display().to_string();
                let doing = || format!("read the history {name}");
                let file = File::open(&path).doing(doing())?;
                let len = file.metadata().doing(doing())?.len();
                if len != segment.bytes {
                    return Err(corrupt(format!(
                        "the history {name} has {len} bytes, not {}",
                        segment.bytes
                    )));
                }
                Ok(Self::new(name, Body::File(Arc::new(file), len)))
            }
            (None, Some(data)) => {
                let name = format!("segment {} in the catalog", segment.id);
                Ok(Self::new(name, Body::Bytes(data.clone())))
            }
            (None, None) => Err(corrupt(format!(
                "the catalog lacks the bytes of segment {}",
                segment.id
            ))),
        }
    }
}

/// Compares a segment with its index, without reading its points.
pub(crate) fn check_segment(storage: &Storage, segment: &Segment, parts: &[Part]) -> Result<()> {
    let input = Input::open(storage, segment)?;
    let doing = format!("read the history {}", input.name);
    let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new()).doing(&doing)?;
    let lines = metadata.metadata().file_metadata().num_rows();
    let in_parts: u64 = parts.iter().map(|p| p.count).sum();
    let inside = parts.iter().all(|p| p.line + p.count <= segment.points);
    if lines != segment.points.cast_signed() || in_parts != segment.points || !inside {
        return Err(corrupt(format!(
            "{doing}: it has {lines} points, its index {in_parts}, the catalog {}",
            segment.points
        )));
    }
    Ok(())
}

#[derive(Clone)]
enum Body {
    File(Arc<File>, u64),
    Bytes(Bytes),
}

impl Length for Input {
    fn len(&self) -> u64 {
        match &self.body {
            Body::File(_, len) => *len,
            Body::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match &self.body {
            Body::File(file, _) => {
                let at = ReadAt::new(Arc::clone(file), start);
                Box::new(io::BufReader::new(at))
            }
            Body::Bytes(bytes) => Box::new(io::Cursor::new(
                bytes.slice(to_place(start, bytes.len())?..),
            )),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match &self.body {
            Body::File(file, len) => {
                if start
                    .checked_add(length as u64)
                    .is_none_or(|end| end > *len)
                {
                    return Err(ParquetError::EOF(
                        "a page lies past the end of the file".to_owned(),
                    ));
                }
                let mut buffer = vec![0; length];
                let mut at = ReadAt::new(Arc::clone(file), start);
                at.read_exact(&mut buffer)?;
                Ok(buffer.into())
            }
            Body::Bytes(bytes) => {
                let start = to_place(start, bytes.len())?;
                let end = start.checked_add(length).filter(|end| *end <= bytes.len());
                let end =
                    end.ok_or_else(|| ParquetError::EOF("a page lies past the end".to_owned()))?;
                Ok(bytes.slice(start..end))
            }
        }
    }
}

/// Refuses columns and pages that lie where none can be: the crate does not look before it leaps.
fn check_places(metadata: &ParquetMetaData) -> Result<(), ParquetError> {
    for (i, group) in metadata.row_groups().iter().enumerate() {
        let pages = metadata.page_index_for_row_group(i);
        for (i, column) in group.columns().iter().enumerate() {
            let dictionary = column.dictionary_page_offset();
            let start = dictionary.unwrap_or_else(|| column.data_page_offset());
            let locations = pages.page_locations(i).into_iter().flatten();
            let first = locations.map(|l| l.offset).min().unwrap_or(start);
            let size = column.compressed_size();
            if start < 0 || size < 0 || first < start || column.num_values() < 0 {
                let path = column.column_path();
                let message = format!("the column {path} does not lie where it can");
                return Err(ParquetError::General(message));
            }
        }
    }
    Ok(())
}

fn to_place(start: u64, len: usize) -> Result<usize, ParquetError> {
    let place = usize::try_from(start).ok().filter(|start| *start <= len);
    place.ok_or_else(|| ParquetError::EOF("a page lies past the end".to_owned()))
}

#[cfg(test)]
mod tests {
    use tracker_model::Values;

    use super::*;
    use crate::history::{columns::Columns, format::Format, group::RowGroup};

    fn lines(steps: impl Iterator<Item = i64>) -> PointBatch {
        let steps: Vec<i64> = steps.collect();
        PointBatch {
            key: "a".into(),
            rows: None,
            times: None,
            values: Values::I64(steps.clone()),
            steps,
        }
    }

    /// A segment with a row group for each of these.
    fn segment(groups: &[PointBatch]) -> Input {
        let mut file = Format::get().unwrap().file(Vec::new()).unwrap();
        for batch in groups {
            let mut columns = Columns::default();
            columns.push(batch, 0, batch.len());
            let mut group = RowGroup::default();
            group.write(columns.take()).unwrap();
            group.end(&mut file).unwrap();
        }
        let bytes = file.into_inner().unwrap();
        Input::new("a segment".to_owned(), Body::Bytes(bytes.into()))
    }

    #[test]
    fn pages_without_wanted_steps_are_left_out() {
        let groups = [
            lines(0..60_000),
            lines((-10..0).rev()),
            lines(60_000..60_010),
        ];
        let input = segment(&groups);
        let steps: Vec<i64> = groups
            .iter()
            .flat_map(|batch| batch.steps.clone())
            .collect();
        let spans = |steps| input.spans(&steps).unwrap().unwrap();
        for wanted in [
            30_000..=30_100,
            19_999..=20_001,
            -3..=2,
            59_999..=60_009,
            60_009..=i64::MAX,
        ] {
            let spans = spans(wanted.clone());
            let lines: u64 = spans.iter().map(|span| span.end - span.start).sum();
            assert!(lines < 45_000, "{wanted:?}: {spans:?}");
            for (line, step) in (0..).zip(&steps) {
                let there = spans.iter().any(|span| span.contains(&line));
                assert!(
                    there || !wanted.contains(step),
                    "{wanted:?}: line {line} is left out"
                );
            }
        }
        assert_eq!(spans(70_000..=80_000), []);
        assert_eq!(spans(i64::MIN..=i64::MAX).first(), Some(&(0..60_020)));
    }

    #[test]
    fn lines_are_cut_at_spans() {
        let wanted = Wanted {
            key: "a".into(),
            line: 10,
            count: 20,
            shape: Shape::default(),
        };
        let cut = |spans: &[Range<u64>]| -> Vec<_> {
            let cut = wanted.among(spans);
            cut.map(|w| w.line..w.line + w.count).collect()
        };
        assert_eq!(cut(&[0..10, 30..40]), []);
        assert_eq!(cut(&[0..12, 15..16, 29..40]), [10..12, 15..16, 29..30]);
        assert_eq!(cut(&[0..5, 7..100]).first(), Some(&(10..30)));
    }
}
