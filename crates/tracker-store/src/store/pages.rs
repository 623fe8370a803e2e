use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::task::JoinHandle;
use tracker_model::Result;

use crate::error::unexpected;

/// A page, and where it ends.
type Page<T, C> = Result<(Vec<T>, Option<C>)>;

/// What comes next.
enum Next<T, C> {
    Start,
    After(C),
    /// It is being read while the page before it is used.
    Ahead(JoinHandle<Page<T, C>>),
    End,
}

/// Makes one stream of pages. `fetch` gets where the last page ended and answers a page and where
/// it ends; an empty page ends the stream, and so does an error. From the third page on, one is read
/// ahead: who takes no more than two pages, which are small, makes nobody read more.
pub(crate) fn paginate<T, C, F, R>(fetch: F) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    C: Send + 'static,
    F: Fn(Option<C>) -> R + Send + 'static,
    R: Future<Output = Page<T, C>> + Send + 'static,
{
    stream::try_unfold((Next::Start, fetch), |(next, fetch)| async move {
        let is_first = matches!(next, Next::Start);
        let (page, end) = match next {
            Next::Start => fetch(None).await?,
            Next::After(end) => fetch(Some(end)).await?,
            Next::Ahead(page) => page
                .await
                .map_err(|e| unexpected("read a page: the task ended").with_source(e))??,
            Next::End => return Ok(None),
        };
        if page.is_empty() {
            return Ok(None);
        }
        let next = match end {
            None => Next::End,
            Some(end) if is_first => Next::After(end),
            Some(end) => Next::Ahead(tokio::spawn(fetch(Some(end)))),
        };
        Ok(Some((
            stream::iter(page.into_iter().map(Ok)),
            (next, fetch),
        )))
    })
    .try_flatten()
    .boxed()
}
