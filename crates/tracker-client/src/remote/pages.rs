//! Lists that come in pages: the next page is on its way while this one is read.

use std::{cmp::Ordering, collections::VecDeque};

use futures::{StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use tokio_util::task::AbortOnDropHandle;
use tracker_model::{Error, ErrorKind, Result};

/// Some items of a list, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

type Ahead<T> = AbortOnDropHandle<Result<Page<T>>>;

struct Pages<T, F> {
    fetch: F,
    ready: VecDeque<T>,
    ahead: Option<Ahead<T>>,
    /// How many more items are wanted.
    left: u64,
    cursor: Option<String>,
}

/// The items of all pages, at most so many. `fetch` gets the cursor of a page, none for the first.
pub(super) fn items<T, F>(limit: Option<u64>, fetch: F) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    F: Fn(Option<String>) -> BoxFuture<'static, Result<Page<T>>> + Send + 'static,
{
    let state = Pages {
        fetch,
        ready: VecDeque::new(),
        ahead: None,
        left: limit.unwrap_or(u64::MAX),
        cursor: None,
    };
    futures::stream::unfold((Some(state), true), |(state, first)| async move {
        let mut state = state?;
        match state.next(first).await {
            Ok(Some(item)) => Some((Ok(item), (Some(state), false))),
            Ok(None) => None,
            Err(e) => Some((Err(e), (None, false))),
        }
    })
    .boxed()
}

/// All items in an order that the server does not know. They are held until the last has come.
pub(super) fn sorted<T: Send + 'static>(
    items: BoxStream<'static, Result<T>>,
    order: impl FnMut(&T, &T) -> Ordering + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    async move {
        let mut all: Vec<T> = items.try_collect().await?;
        all.sort_by(order);
        Ok(futures::stream::iter(all).map(Ok))
    }
    .try_flatten_stream()
    .boxed()
}

impl<T, F> Pages<T, F>
where
    T: Send + 'static,
    F: Fn(Option<String>) -> BoxFuture<'static, Result<Page<T>>>,
{
    async fn next(&mut self, first: bool) -> Result<Option<T>> {
        if self.left == 0 {
            return Ok(None);
        }
        if first {
            self.fetch_ahead(None);
        }
        loop {
            if let Some(item) = self.ready.pop_front() {
                self.left -= 1;
                return Ok(Some(item));
            }
            let Some(ahead) = self.ahead.take() else {
                return Ok(None);
            };
            let page = ahead.await.map_err(|e| {
                Error::new(ErrorKind::Unexpected, "a page was not read to its end").with_source(e)
            })??;
            self.ready = page.items.into();
            // A server that gives the same page again would never end.
            if let Some(next) = page.next.filter(|next| Some(next) != self.cursor.as_ref())
                && (self.ready.len() as u64) < self.left
            {
                self.cursor = Some(next.clone());
                self.fetch_ahead(Some(next));
            }
        }
    }

    fn fetch_ahead(&mut self, cursor: Option<String>) {
        self.ahead = Some(AbortOnDropHandle::new(tokio::spawn((self.fetch)(cursor))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(limit: Option<u64>) -> BoxStream<'static, Result<u64>> {
        items(limit, |cursor| {
            Box::pin(async move {
                let from: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
                let next = (from < 20).then(|| (from + 10).to_string());
                let items = (from..from + 10).collect();
                Ok(Page { items, next })
            })
        })
    }

    #[tokio::test]
    async fn all_pages_follow_each_other() {
        let all: Vec<u64> = counting(None).try_collect().await.unwrap();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
        for limit in [0, 1, 10, 11, 40] {
            let some: Vec<u64> = counting(Some(limit)).try_collect().await.unwrap();
            assert_eq!(some, (0..limit.min(30)).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn a_cursor_that_stands_still_and_an_error_end_it() {
        let page = || Page {
            items: vec![1],
            next: Some("x".to_owned()),
        };
        let same = items(None, move |_| Box::pin(async move { Ok(page()) }));
        assert_eq!(same.try_collect::<Vec<_>>().await.unwrap(), [1, 1]);
        let broken: Vec<Result<u8>> = items(None, |_| {
            Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "gone")) })
        })
        .collect()
        .await;
        assert_eq!(broken.len(), 1);
        assert!(broken[0].is_err());
    }
}
