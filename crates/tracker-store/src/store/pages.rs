use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tracker_model::Result;

/// Makes one stream of pages. `fetch` gets where the last page ended and answers a page and where
/// it ends; an empty page ends the stream, and so does an error.
pub(crate) fn paginate<T, C, F, R>(fetch: F) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    C: Send + 'static,
    F: Fn(Option<C>) -> R + Send + 'static,
    R: Future<Output = Result<(Vec<T>, Option<C>)>> + Send,
{
    enum Next<C> {
        After(Option<C>),
        End,
    }
    stream::try_unfold((Next::After(None), fetch), |(next, fetch)| async move {
        let Next::After(cursor) = next else {
            return Ok(None);
        };
        let (page, cursor) = fetch(cursor).await?;
        if page.is_empty() {
            return Ok(None);
        }
        let next = if cursor.is_some() {
            Next::After(cursor)
        } else {
            Next::End
        };
        Ok(Some((
            stream::iter(page.into_iter().map(Ok)),
            (next, fetch),
        )))
    })
    .try_flatten()
    .boxed()
}
