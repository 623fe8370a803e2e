//! Charts of histories.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use maud::{Markup, PreEscaped, html};
use tracker_client::{
    Run,
    chart::{Across, Chart, Line, Reading, Size, line, svg_of_size},
};
use tracker_model::{HistoryStream, Result, SeriesInfo};

use super::params::Params;
use crate::app::App;

/// Points of each line: two for each column of pixels.
const SAMPLES: usize = 900;
const SIZE: Size = Size {
    width: 420.0,
    height: 170.0,
};
/// Charts of one page that are made at once.
const AT_ONCE: usize = 4;

/// How charts are drawn, as the address says.
#[derive(Debug, Clone)]
pub(super) struct Look {
    across: Across,
    log: bool,
    stream: HistoryStream,
}

impl Look {
    /// Over steps, unless it is about the machine, which knows times alone.
    pub(super) fn of(params: &Params) -> Self {
        let system = params.get("stream") == Some("system");
        let across = match params.get("x") {
            Some("time") => Across::Time,
            None if system => Across::Time,
            _ => Across::Step,
        };
        Self {
            across,
            log: params.get("log").is_some(),
            stream: if system {
                HistoryStream::System
            } else {
                HistoryStream::Metrics
            },
        }
    }

    pub(super) fn stream(&self) -> HistoryStream {
        self.stream
    }

    /// Links to the other ways.
    pub(super) fn links(&self, params: &Params) -> Markup {
        let time = self.across == Across::Time;
        let current = |yes: bool| yes.then_some("true");
        let params = params.without("page");
        html! {
            span.switch {
                a href={ (params.with("x", "step")) "#charts" } aria-current=[current(!time)] { "steps" }
                " · "
                a href={ (params.with("x", "time")) "#charts" } aria-current=[current(time)] { "time" }
            }
            span.switch {
                @if self.log {
                    a href={ "?" (super::layout::bare(&params.without("log"))) "#charts" } aria-current="true" { "log scale" }
                } @else {
                    a href={ (params.with("log", 1)) "#charts" } { "log scale" }
                }
            }
        }
    }
}

/// A chart that is to be made: its title, and of each line the name, the run and the series.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) title: String,
    pub(super) lines: Vec<(String, Run, SeriesInfo)>,
}

/// Makes charts, some at once. Every series is read once, and of all pages only so many at a time.
pub(super) async fn charts(app: &Arc<App>, look: &Look, plans: Vec<Plan>) -> Result<Markup> {
    let drawings: Vec<String> = stream::iter(plans)
        .map(|plan| drawing(app.clone(), look.clone(), plan))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(html! {
        div.charts { @for drawing in drawings { div.chart { (PreEscaped(drawing)) } } }
    })
}

async fn drawing(app: Arc<App>, look: Look, plan: Plan) -> Result<String> {
    let mut chart = Chart::new(plan.title)
        .with_across(look.across)
        .with_log(look.log);
    let reading = Reading {
        samples: SAMPLES,
        stream: look.stream,
        steps: None,
    };
    for (name, run, series) in plan.lines {
        // It is never closed.
        let _permit = app.drawing.acquire().await;
        let line: Line = line(&run, &name, &series, &chart, &reading).await?;
        chart = chart.with_line(line);
    }
    Ok(svg_of_size(&[chart], SIZE))
}
