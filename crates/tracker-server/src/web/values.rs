//! Values of configs and summaries.

use maud::{Markup, html};
use serde_json::Value as Json;
use tracker_client::{
    chart::short_number,
    text::{bytes, json_text},
    values::{Media, MediaKind, TypedValue},
};
use tracker_model::{JsonObject, RunPath};

use super::{
    contents,
    text::{Text, shortened},
};

/// Rows of a table of values, and characters of one of them.
const MOST_ROWS: usize = 2_000;
const MOST_TEXT: usize = 2_000;
/// Characters of a cell among others.
const MOST_CELL: usize = 80;

/// The leaves of an object: their keys with dots between them, and what is there. What has a type
/// of its own is a leaf.
pub(super) fn leaves<'a>(object: &'a JsonObject, each: &mut impl FnMut(&str, &'a Json)) {
    fn below<'a>(
        above: &mut String,
        object: &'a JsonObject,
        each: &mut impl FnMut(&str, &'a Json),
    ) {
        let length = above.len();
        for (key, value) in object {
            above.push_str(key);
            match value {
                Json::Object(inner) if !inner.is_empty() && !inner.contains_key("_type") => {
                    above.push('.');
                    below(above, inner, each);
                }
                leaf => each(above, leaf),
            }
            above.truncate(length);
        }
    }
    below(&mut String::new(), object, each);
}

/// All of an object as a table.
pub(super) fn table(object: &JsonObject, run: Option<&RunPath>) -> Markup {
    let mut rows = Vec::new();
    let mut count = 0;
    leaves(object, &mut |key, value| {
        count += 1;
        if rows.len() < MOST_ROWS {
            rows.push((key.to_owned(), value));
        }
    });
    html! {
        @if rows.is_empty() { p.empty { "Nothing." } } @else {
            div.scroll { table { tbody {
                @for (key, value) in &rows {
                    tr { td.key { (Text(key)) } td.wide { (whole(value, run)) } }
                }
            } } }
            @if count > rows.len() { p.dim { (count - rows.len()) " more are not shown." } }
        }
    }
}

/// A value with room for itself.
pub(super) fn whole(value: &Json, run: Option<&RunPath>) -> Markup {
    match TypedValue::read(value) {
        Ok(Some(TypedValue::Media(media))) => shown(&media, run),
        Ok(Some(TypedValue::Images(images))) => html! {
            @for path in images.paths.iter().take(16) {
                (shown(&Media::new(MediaKind::Image, path), run))
            }
        },
        Ok(Some(TypedValue::Histogram(histogram))) => html! {
            "histogram of " (histogram.values().len()) " ranges"
            @if let (Some(low), Some(high)) = (histogram.bins().first(), histogram.bins().last()) {
                ", " (short_number(*low)) " to " (short_number(*high))
            }
        },
        // What is not what it says it is.
        Ok(_) | Err(_) => html! { (Text(&shortened(&said(value), MOST_TEXT))) },
    }
}

fn said(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        other => json_text(other),
    }
}

/// A file of a run: an image as it is, others as links.
fn shown(media: &Media, run: Option<&RunPath>) -> Markup {
    let Some((path, run)) = media.path.as_deref().zip(run) else {
        return html! { (media.kind.as_str()) };
    };
    let to = contents::address_of(run, path);
    let caption = media.caption.as_deref();
    html! {
        a href=(to) {
            @if media.kind == MediaKind::Image && contents::is_image(path) {
                img src=(to) alt=(Text(caption.unwrap_or(path))) loading="lazy";
            } @else { (Text(path)) }
        }
        @if let Some(caption) = caption { " " span.dim { (Text(&shortened(caption, MOST_TEXT))) } }
        @if let Some(size) = media.size { " " span.dim { (bytes(size)) } }
    }
}

/// A value among others: short, and all of it in the title.
pub(super) fn cell(value: Option<&Json>) -> Markup {
    let Some(value) = value else {
        return html! { td.cell {} };
    };
    if let Some(number) = value.as_number() {
        let text = number.to_string();
        let short = match number.as_f64() {
            Some(x) if number.is_f64() && text.len() > 8 => short_number(x),
            _ => text.clone(),
        };
        return html! { td.cell.num title=(text) { (short) } };
    }
    let text = match value.get("_type").and_then(Json::as_str) {
        Some(kind) => kind.to_owned(),
        None => said(value),
    };
    let short = shortened(&text, MOST_CELL);
    html! { td.cell title=(Text(&shortened(&text, MOST_TEXT))) { (Text(&short)) } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_have_dots() {
        let object =
            json!({"a": {"b": {"c": 1}, "d": {}}, "e.f": [1], "m": {"_type": "x", "y": 1}});
        let mut found = Vec::new();
        leaves(object.as_object().unwrap(), &mut |key, value| {
            found.push((key.to_owned(), value.clone()))
        });
        let wanted = [
            ("a.b.c", json!(1)),
            ("a.d", json!({})),
            ("e.f", json!([1])),
            ("m", json!({"_type": "x", "y": 1})),
        ];
        assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn media_are_files_of_the_run() {
        let run = "e/p/r".parse().unwrap();
        let image = json!({"_type": "image-file", "path": "media/a \"b\".png", "caption": "<b>", "size": 1500});
        let page = whole(&image, Some(&run)).into_string();
        assert!(
            page.contains("src=\"/web/files/e/p/r/media/a%20%22b%22.png\""),
            "{page}"
        );
        assert!(
            page.contains("alt=\"&lt;b&gt;\"") && page.contains("1.5 kB"),
            "{page}"
        );
        let table = json!({"_type": "table-file", "path": "t.table.json"});
        assert!(!whole(&table, Some(&run)).into_string().contains("<img"));
        let odd = json!({"_type": "histogram", "bins": "no"});
        assert!(
            whole(&odd, Some(&run))
                .into_string()
                .contains("&quot;no&quot;")
        );
    }

    #[test]
    fn cells_are_short() {
        let text = |value: Json| cell(Some(&value)).into_string();
        assert!(text(json!(0.30000000000000004)).contains(">0.3<"));
        assert!(text(json!(1234567890)).contains(">1234567890<"));
        assert!(text(json!("x".repeat(500))).contains("xxx…<"));
        assert_eq!(cell(None).into_string(), "<td class=\"cell\"></td>");
    }
}
