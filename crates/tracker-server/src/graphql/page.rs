//! Connections: lists in pages.

use async_graphql::SimpleObject;

/// Where a page ends.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct PageInfo {
    pub(crate) start_cursor: Option<String>,
    pub(crate) end_cursor: Option<String>,
    pub(crate) has_next_page: bool,
    pub(crate) has_previous_page: bool,
}

/// The most items of a page.
pub(crate) const MAX_PAGE: usize = 10_000;

/// How many items a client asks for.
pub(crate) fn wanted(first: Option<i64>, default: usize) -> usize {
    first
        .map_or(default, |first| usize::try_from(first).unwrap_or(0))
        .min(MAX_PAGE)
}

/// Declares a connection of these nodes: `edges` with cursors, `pageInfo`, `totalCount`.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty) => {
        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $edge {
            pub(crate) cursor: String,
            pub(crate) node: $node,
        }

        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $connection {
            pub(crate) edges: Vec<$edge>,
            pub(crate) page_info: $crate::graphql::page::PageInfo,
            pub(crate) total_count: Option<i64>,
        }

        impl $connection {
            /// A page whose first item has this place; cursors are how many came before.
            pub(crate) fn page(first: u64, nodes: Vec<$node>, more: bool) -> Self {
                let edges: Vec<_> = (first + 1..)
                    .zip(nodes)
                    .map(|(place, node)| $edge {
                        cursor: place.to_string(),
                        node,
                    })
                    .collect();
                let page_info = $crate::graphql::page::PageInfo {
                    start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                    end_cursor: edges.last().map(|edge| edge.cursor.clone()),
                    has_next_page: more,
                    has_previous_page: first > 0,
                };
                Self {
                    edges,
                    page_info,
                    total_count: None,
                }
            }

            /// All of a list.
            #[allow(dead_code, reason = "not every list comes in pages")]
            pub(crate) fn all(nodes: Vec<$node>) -> Self {
                let count = i64::try_from(nodes.len()).ok();
                Self {
                    total_count: count,
                    ..Self::page(0, nodes, false)
                }
            }
        }
    };
}
pub(crate) use connection;

/// A page of a stream, whose cursors are how many items came before.
pub(crate) async fn page_of<T>(
    items: impl futures::Stream<Item = tracker_model::Result<T>>,
    after: Option<&str>,
    count: usize,
) -> tracker_model::Result<(u64, Vec<T>, bool)> {
    use futures::{StreamExt, TryStreamExt};
    let first: u64 = match after {
        None | Some("") => 0,
        Some(cursor) => cursor.parse().map_err(|_| {
            tracker_model::Error::invalid(format!("{cursor:.40?} is not a cursor of this list"))
        })?,
    };
    let mut items = std::pin::pin!(items.skip(usize::try_from(first).unwrap_or(usize::MAX)));
    let mut page = Vec::new();
    while page.len() < count {
        match items.try_next().await? {
            Some(item) => page.push(item),
            None => return Ok((first, page, false)),
        }
    }
    let more = items.try_next().await?.is_some();
    Ok((first, page, more))
}
