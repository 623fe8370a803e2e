//! The history of one metric of one run, however long.

use std::io::{self, Read};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use spill_sort::{Record, Sorter, SorterOptions};
use tokio::runtime::Handle;
use tracker_http::Bytes;
use tracker_model::{Error, ErrorKind, MAX_BATCH_POINTS, Result};

use super::{Asked, Columns, PAGE, parse, place, started};
use crate::{
    blocking::{Stop, filled_by},
    mapping::history_order,
    rest::{endpoint::Endpoint, failure::failure, pages::Pages},
};

/// Points of the same time and step that wait for the next page, since their order may go on there.
const MAX_HELD: usize = 100_000;

/// All points, in order of time, step and value.
pub(super) fn pages(asked: Asked, key: String) -> BoxStream<'static, Result<Columns>> {
    let server = &asked.history.server;
    if server.pages_history() && server.orders_history() {
        ordered(paged(asked, key)).boxed()
    } else if server.pages_history() {
        sorted(paged(asked, key))
    } else {
        unpaged(asked, key)
    }
}

/// Points, and whether more follow.
type Part = (Columns, bool);

/// Page by page; the next one is asked for before the last one is given out.
fn paged(asked: Asked, key: String) -> BoxStream<'static, Result<Part>> {
    let begin = async move {
        let first = started(page(asked.clone(), key.clone(), None));
        Ok((asked, key, Pages::default(), Some(first)))
    };
    stream::once(begin)
        .map_ok(|begin| {
            stream::try_unfold(begin, |(asked, key, mut pages, next)| async move {
                let Some(next) = next else { return Ok(None) };
                let parse::HistoryPage {
                    points,
                    next_page_token,
                } = next.await?;
                let doing = format!("read the history of {}", place(&asked.run_id, &key));
                let more = pages.follow(points.len(), next_page_token, &doing)?;
                let next = more.then(|| {
                    let token = pages.token().map(str::to_owned);
                    started(page(asked.clone(), key.clone(), token))
                });
                Ok::<_, Error>(Some(((points, more), (asked, key, pages, next))))
            })
        })
        .try_flatten()
        .boxed()
}

async fn page(asked: Asked, key: String, token: Option<String>) -> Result<parse::HistoryPage> {
    let failed = |e| {
        failure(
            e,
            format_args!("read the history of {}", place(&asked.run_id, &key)),
        )
    };
    let request = asked
        .api
        .call(Endpoint::MetricHistory)
        .await
        .map_err(failed)?;
    let max_results = PAGE.to_string();
    let fields = [
        ("run_id", &*asked.run_id),
        ("metric_key", &key),
        ("max_results", &max_results),
    ];
    let token = token.as_deref().map(|token| ("page_token", token));
    let request = request.query(fields.into_iter().chain(token));
    request.json_with(parse::history_page).await.map_err(failed)
}

/// Pages of a database, which cannot tell 0 from NaN: these two are put right, over the end of a
/// page too. Points that come again, since others were inserted before them, are left out: a
/// database holds no point twice.
fn ordered(
    pages: BoxStream<'static, Result<Part>>,
) -> impl futures::Stream<Item = Result<Columns>> + Send {
    stream::try_unfold(
        (pages, Columns::default()),
        |(mut pages, mut held)| async move {
            while let Some((mut page, more)) = pages.try_next().await? {
                page.sort();
                if let Some(last) = held.last_group() {
                    let again = page.groups().take_while(|group| *group < last).count();
                    page = page.split_off(again);
                }
                held.append(page);
                held.sort();
                held.dedup();
                // The last group may go on in the next page.
                let last = held.last_group();
                let tail = held
                    .groups()
                    .rev()
                    .take_while(|group| Some(*group) == last)
                    .count();
                let keep = if more && tail <= MAX_HELD { tail } else { 0 };
                if keep < held.len() {
                    let tail = held.split_off(held.len() - keep);
                    return Ok(Some((held, (pages, tail))));
                }
            }
            Ok(None)
        },
    )
}

/// Pages in any order, sorted in bounded memory.
fn sorted(mut pages: BoxStream<'static, Result<Part>>) -> BoxStream<'static, Result<Columns>> {
    let handle = Handle::current();
    filled_by(move |feed| {
        let mut sorter = sorter();
        while let Some((page, _)) = handle.block_on(pages.try_next())? {
            if feed.is_dropped() {
                return Err(Stop::Dropped);
            }
            for (time, step, value) in page.iter() {
                sorter
                    .push(Point(time, step, value))
                    .map_err(spill_failed)?;
            }
        }
        give(sorter, feed)
    })
}

/// Servers of old answer everything at once, in any order.
fn unpaged(asked: Asked, key: String) -> BoxStream<'static, Result<Columns>> {
    let handle = Handle::current();
    filled_by(move |feed| {
        let mut sorter = sorter();
        let mut pages = Pages::default();
        let doing = format!("read the history of {}", place(&asked.run_id, &key));
        loop {
            let mut points = 0;
            let begin = download(&asked, &key, pages.token(), &doing);
            let mut incoming = Incoming {
                body: handle.block_on(begin)?,
                handle: handle.clone(),
                piece: Bytes::new(),
                failed: None,
            };
            let parsed = parse::history_stream(
                io::BufReader::with_capacity(64 << 10, &mut incoming),
                |time, step, value| {
                    points += 1;
                    if points % MAX_BATCH_POINTS == 0 && feed.is_dropped() {
                        return Err(io::Error::other("nobody reads"));
                    }
                    sorter.push(Point(time, step, value))
                },
            );
            if feed.is_dropped() {
                return Err(Stop::Dropped);
            }
            let token = match (parsed, incoming.failed) {
                (Ok(token), _) => token,
                (Err(_), Some(e)) => return Err(failure(e, &doing).into()),
                (Err(e), None) => {
                    let message = format!("{doing}: the answer is not a page of points: {e}");
                    return Err(Error::new(ErrorKind::Corrupt, message).into());
                }
            };
            if !pages.follow(points, token, &doing)? {
                return give(sorter, feed);
            }
        }
    })
}

async fn download(
    asked: &Asked,
    key: &str,
    token: Option<&str>,
    doing: &str,
) -> Result<BoxStream<'static, tracker_http::Result<Bytes>>> {
    let failed = |e| failure(e, doing);
    let request = asked
        .api
        .call(Endpoint::MetricHistory)
        .await
        .map_err(failed)?;
    let fields = [("run_id", &*asked.run_id), ("metric_key", key)];
    let max_results = PAGE.to_string();
    let request = request
        .query(fields)
        .query([("max_results", max_results.as_str())])
        .query(token.map(|token| ("page_token", token)));
    Ok(request.download().await.map_err(failed)?.into_stream())
}

/// A body that arrives, for a thread that may wait.
struct Incoming {
    handle: Handle,
    body: BoxStream<'static, tracker_http::Result<Bytes>>,
    piece: Bytes,
    failed: Option<tracker_http::Error>,
}

impl Read for &mut Incoming {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.handle.block_on(self.body.next()) {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(e)) => {
                    self.failed = Some(e);
                    return Err(io::Error::other("the answer broke off"));
                }
            }
        }
        let part = self.piece.split_to(buf.len().min(self.piece.len()));
        if let Some(begin) = buf.get_mut(..part.len()) {
            begin.copy_from_slice(&part);
        }
        Ok(part.len())
    }
}

/// A point on its way through the sorter.
struct Point(i64, i64, f64);

impl Record for Point {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
        out.extend_from_slice(&self.1.to_le_bytes());
        out.extend_from_slice(&self.2.to_bits().to_le_bytes());
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (time, rest) = input.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (bits, _) = rest.split_first_chunk()?;
        let value = f64::from_bits(u64::from_le_bytes(*bits));
        Some((
            Self(i64::from_le_bytes(*time), i64::from_le_bytes(*step), value),
            24,
        ))
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

type PointSorter = Sorter<Point, fn(&Point, &Point) -> std::cmp::Ordering>;

fn sorter() -> PointSorter {
    Sorter::new(SorterOptions::default(), |a, b| {
        history_order((a.0, a.1, a.2), (b.0, b.1, b.2))
    })
}

fn give(sorter: PointSorter, feed: &mut crate::blocking::Feed<Columns>) -> crate::blocking::Filled {
    let mut batch = Columns::default();
    for point in sorter.finish().map_err(spill_failed)? {
        let Point(time, step, value) = point.map_err(spill_failed)?;
        batch.push(time, step, value);
        if batch.len() >= MAX_BATCH_POINTS {
            feed.heavy(std::mem::take(&mut batch), MAX_BATCH_POINTS)?;
        }
    }
    if !batch.is_empty() {
        feed.item(batch)?;
    }
    Ok(())
}

fn spill_failed(e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    Error::new(
        kind,
        "sort the points of a history in the folder for temporary files",
    )
    .with_source(e)
}
