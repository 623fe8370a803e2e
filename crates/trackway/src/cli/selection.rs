//! What to import or to check, and where it goes.

use clap::Args;
use futures::TryStreamExt;
use importer_core::{Kind, KindSet, Namespace, ProjectMap, Selection, Source, SourceItem, Tally};
use tracker_model::Timestamp;

use super::{
    failure::{Failure, Result},
    settings::Settings,
    text::{Nearest, did_you_mean},
    times,
    which::ExprArgs,
};

/// Kinds of data that are bytes.
const BYTES: [&str; 4] = ["files", "artifacts", "models", "traces"];

/// Which of the source's data.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What")]
pub(crate) struct SelectionArgs {
    /// Only projects (experiments) whose name or id fits; repeatable
    #[arg(long, value_name = "GLOB")]
    experiment: Vec<String>,
    /// Only the run with this id at the source; repeatable
    #[arg(long, value_name = "ID")]
    run: Vec<String>,
    /// Only runs that began at this time or later: 2026-01-31, RFC 3339, 7d, 12h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs that began before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    expr: ExprArgs,
    /// At most so many runs
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only these kinds: points, params, tags, inputs, files, artifacts, traces
    #[arg(
        long,
        value_name = "KIND,…",
        value_delimiter = ',',
        conflicts_with = "exclude"
    )]
    include: Vec<String>,
    /// All but these kinds
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    exclude: Vec<String>,
    /// No files, models and traces
    #[arg(long)]
    no_artifacts: bool,
    /// Deleted runs and projects too
    #[arg(long)]
    include_deleted: bool,
}

/// Where the source's projects go.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Where to")]
pub(crate) struct PlaceArgs {
    /// The entity, or the one project, that runs go into [default: local]
    #[arg(
        long,
        value_name = "ENTITY[/PROJECT]",
        env = "TRACKWAY_NAMESPACE",
        hide_env_values = true
    )]
    namespace: Option<String>,
    /// Another name for projects that fit OLD; * in NEW is the old one
    #[arg(long, value_name = "OLD=NEW")]
    map: Vec<String>,
}

impl SelectionArgs {
    /// As the pipeline takes it.
    pub(crate) fn selection(&self) -> Result<Selection> {
        let now = Timestamp::now();
        let time = |t: &Option<String>| t.as_deref().map(|t| times::parse(t, now)).transpose();
        let mut selection = Selection::new().with_projects(&self.experiment)?;
        selection.runs = self.run.iter().cloned().collect();
        selection.since = time(&self.since)?;
        selection.until = time(&self.until)?;
        if let (Some(since), Some(until)) = (selection.since, selection.until)
            && since >= until
        {
            return Err(Failure::usage(
                "--since is not before --until: no run can fit",
            ));
        }
        selection.filter = self.expr.filter()?;
        selection.limit = self.limit;
        selection.include_deleted = self.include_deleted;
        selection.kinds = self.kinds()?;
        Ok(selection)
    }

    /// Says that nothing of the source has a name or id that was asked for, if that is so.
    pub(crate) async fn nothing_found(&self, source: &dyn Source, totals: &Tally) -> Result<()> {
        if !self.experiment.is_empty() && totals.get(Kind::Projects).source() == 0 {
            let asked = self.experiment.join(", ");
            let mut near = Nearest::new(&asked);
            let mut projects = source.projects(&Selection::new());
            while let Some(item) = projects.try_next().await? {
                if let SourceItem::Item(project) = item {
                    near.offer(&project.name, project.name.clone());
                }
            }
            return Err(
                Failure::not_found(format!("no experiment of the source fits {asked:?}"))
                    .with_hint(did_you_mean(&near.into_best()).unwrap_or_else(|| {
                        "quote patterns; --include-deleted takes deleted ones too".to_owned()
                    })),
            );
        }
        if !self.run.is_empty() && totals.get(Kind::Runs).source() == 0 {
            return Err(Failure::not_found(format!(
                "no run of the source has the id {:?}",
                self.run.join(", ")
            ))
            .with_hint("--run takes whole ids; --include-deleted takes deleted runs too"));
        }
        Ok(())
    }

    fn kinds(&self) -> Result<KindSet> {
        let bytes: &[&str] = if self.no_artifacts { &BYTES } else { &[] };
        if self.include.is_empty() {
            return Ok(KindSet::except(
                self.exclude
                    .iter()
                    .map(String::as_str)
                    .chain(bytes.iter().copied()),
            )?);
        }
        // Words are checked before some of them are dropped.
        KindSet::only(&self.include)?;
        Ok(KindSet::only(
            self.include
                .iter()
                .filter(|word| !bytes.contains(&word.as_str())),
        )?)
    }
}

impl PlaceArgs {
    /// As the pipeline takes it.
    pub(crate) fn place(&self, settings: &Settings) -> Result<(Namespace, ProjectMap)> {
        let namespace = self
            .namespace
            .as_deref()
            .or(settings.namespace.as_deref())
            .filter(|text| !text.is_empty());
        let namespace = namespace
            .map(Namespace::parse)
            .transpose()?
            .unwrap_or_default();
        Ok((namespace, ProjectMap::parse(&self.map)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let words = |text: &str| {
            text.split(',')
                .filter(|w| !w.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let kinds = |include: &str, exclude: &str, no_artifacts| {
            SelectionArgs {
                include: words(include),
                exclude: words(exclude),
                no_artifacts,
                ..SelectionArgs::default()
            }
            .kinds()
        };
        let all = kinds("", "", false).unwrap();
        assert!(
            all.contains(Kind::Points) && all.contains(Kind::Files) && all.contains(Kind::Traces)
        );
        let light = kinds("", "tags", true).unwrap();
        assert!(
            light.contains(Kind::Points)
                && !light.contains(Kind::Files)
                && !light.contains(Kind::Tags)
        );
        let few = kinds("points,files", "", true).unwrap();
        assert!(
            few.contains(Kind::Points) && !few.contains(Kind::Files) && !few.contains(Kind::Params)
        );
        assert!(kinds("pints", "", false).is_err());
    }

    #[test]
    fn empty_spans_are_refused() {
        let args = SelectionArgs {
            since: Some("2026-02-01".to_owned()),
            until: Some("2026-01-01".to_owned()),
            ..SelectionArgs::default()
        };
        assert!(args.selection().is_err());
    }
}
