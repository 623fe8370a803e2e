use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value as Json;
use tracker_client::{Api, Comparison, ComparisonRow, Section, titles};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Format, Listing, latex, left},
    plot::{self, LookArgs},
    resolve,
    shape::json_text,
    text,
};

/// Which runs to compare.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("drawn").args(["plot"]))]
#[command(after_help = "Examples:
  trackway compare 62915c7a abd4f363           what differs in config and summary
  trackway compare 'lr=0.3' 'lr=0.03' 'lr=40' --section config --all
  trackway compare 62915c7a abd4f363 --format latex > table.tex
  trackway compare 62915c7a abd4f363 --plot val/loss --svg loss.svg

Numbers are equal if their values are, as 1 and 1.0. It ends with 7 if the runs differ, as diff does
with 1, and with 0 if they do not.")]
pub(crate) struct CompareArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<String>,
    /// Only this
    #[arg(long, value_enum)]
    section: Option<SectionArg>,
    /// Only keys in which runs differ: the default
    #[arg(long, conflicts_with = "all")]
    only_different: bool,
    /// All keys, those in which the runs are the same too
    #[arg(long)]
    all: bool,
    /// The form of the table [default: a table, in a pipe tsv]
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"])]
    format: Option<CompareFormat>,
    /// In place of the table, draw this series of the runs in one chart
    #[arg(long, value_name = "KEY", conflicts_with_all = ["section", "only_different", "all", "format", "json", "jsonl"])]
    plot: Option<String>,
    /// Draw it into this SVG file, `-` for standard output
    #[arg(long, value_name = "FILE", requires = "plot")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SectionArg {
    /// The hyperparameters
    Config,
    /// The results
    Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompareFormat {
    /// Aligned columns
    Table,
    /// Comma-separated values with a header
    Csv,
    /// A Markdown table
    #[value(alias = "md")]
    Markdown,
    /// A LaTeX tabular
    #[value(alias = "tex")]
    Latex,
    /// One JSON document
    Json,
}

/// The whole as JSON.
#[derive(Serialize)]
struct Shape<'a> {
    runs: Vec<RunName<'a>>,
    rows: Vec<RowShape<'a>>,
}

#[derive(Serialize)]
struct RunName<'a> {
    path: String,
    name: Option<&'a str>,
}

/// A key of all runs. A run that lacks it is left out of `present`.
#[derive(Serialize)]
struct RowShape<'a> {
    section: &'static str,
    key: String,
    differs: bool,
    values: &'a [Option<Json>],
    present: Vec<bool>,
}

impl<'a> RowShape<'a> {
    fn new(row: &'a ComparisonRow) -> Self {
        Self {
            section: row.section.as_str(),
            key: row.key(),
            differs: row.differs(),
            values: &row.values,
            present: row.values.iter().map(Option::is_some).collect(),
        }
    }
}

pub(super) async fn run(shell: &mut Shell, args: CompareArgs) -> Result<Exit> {
    if let Some(format) = args.format {
        shell.out.format = match format {
            CompareFormat::Table => Format::Table,
            CompareFormat::Csv => Format::Csv,
            CompareFormat::Markdown => Format::Markdown,
            CompareFormat::Latex => Format::Latex,
            CompareFormat::Json => Format::Json,
        };
    }
    let tracker = open::reader(shell, &args.from).await?;
    let api = Api::new(tracker.clone());
    let mut runs: Vec<tracker_client::Run> = Vec::new();
    for text in &args.runs {
        let path = resolve::run(&*tracker, text).await?.path;
        if let Some(same) = runs.iter().find(|run| *run.path() == path) {
            return Err(Failure::usage(format!("{} is given twice", same.path()))
                .with_hint("name runs that are not the same"));
        }
        runs.push(api.run_at(&path).await?);
    }
    if let Some(key) = &args.plot {
        return plotted(shell, runs, key, &args).await;
    }
    let compared = Comparison::of(&runs);
    let wanted = |row: &&ComparisonRow| match args.section {
        None => true,
        Some(SectionArg::Config) => row.section == Section::Config,
        Some(SectionArg::Summary) => row.section == Section::Summary,
    };
    let (mut rows, mut differing) = (Vec::new(), 0_u64);
    for row in compared.rows().iter().filter(wanted) {
        let differs = row.differs();
        differing += u64::from(differs);
        if differs || args.all {
            rows.push(row);
        }
    }
    let titles = titles(&runs);
    match shell.out.format {
        Format::Json => {
            let shape = Shape {
                runs: runs
                    .iter()
                    .map(|run| RunName {
                        path: run.path().to_string(),
                        name: run.record().name.as_deref(),
                    })
                    .collect(),
                rows: rows.iter().map(|row| RowShape::new(row)).collect(),
            };
            shell.out.document(&shape)?;
        }
        Format::Latex => tabular(shell, &titles, &rows, args.section.is_none())?,
        _ => {
            let sections = args.section.is_none();
            let columns = [left("SECTION"), left("KEY")];
            let columns = columns.get(usize::from(!sections)..).unwrap_or_default();
            if shell.out.format == Format::Tsv {
                let head = columns_line(sections, &titles);
                shell.out.line(head)?;
            }
            let mut listing = Listing::new(&mut shell.out, columns);
            listing.add_columns(&titles);
            for row in rows {
                listing.row(&RowShape::new(row), || cells(row, sections))?;
            }
            listing.end()?;
        }
    }
    if differing == 0 {
        shell.talk.note("the runs do not differ");
        return Ok(Exit::Ok);
    }
    Ok(Exit::Differs)
}

async fn plotted(
    shell: &mut Shell,
    runs: Vec<tracker_client::Run>,
    key: &str,
    args: &CompareArgs,
) -> Result<Exit> {
    let named: Vec<_> = titles(&runs).into_iter().zip(runs).collect();
    let chart = plot::runs_of_key(shell, &named, key, &args.look, args.svg.is_some()).await?;
    match &args.svg {
        Some(path) => plot::write_svg(shell, path, &[chart])?,
        None => plot::print(shell, &chart, &args.look)?,
    }
    Ok(Exit::Ok)
}

fn columns_line(sections: bool, titles: &[String]) -> String {
    let fixed: &[&str] = if sections {
        &["section", "key"]
    } else {
        &["key"]
    };
    let fixed = fixed.iter().map(|title| (*title).to_owned());
    let all: Vec<String> = fixed
        .chain(titles.iter().map(|title| text::one_line(title)))
        .collect();
    all.join("\t")
}

fn cells(row: &ComparisonRow, sections: bool) -> Vec<String> {
    let mut cells = Vec::with_capacity(row.values.len() + 2);
    if sections {
        cells.push(row.section.as_str().to_owned());
    }
    cells.push(row.key());
    cells.extend(row.values.iter().map(|value| match value {
        Some(Json::Null) => "null".to_owned(),
        Some(value) => json_text(value),
        None => String::new(),
    }));
    cells
}

fn tabular(
    shell: &mut Shell,
    titles: &[String],
    rows: &[&ComparisonRow],
    sections: bool,
) -> Result<()> {
    let out = &mut shell.out;
    let fixed = if sections { "ll" } else { "l" };
    let columns = "r".repeat(titles.len());
    out.line(format!("\\begin{{tabular}}{{{fixed}{columns}}}\n\\hline"))?;
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| latex(cell)).collect();
        format!("{} \\\\", cells.join(" & "))
    };
    let head: &[&str] = if sections { &["", ""] } else { &[""] };
    let head: Vec<String> = head
        .iter()
        .map(|title| (*title).to_owned())
        .chain(titles.iter().cloned())
        .collect();
    out.line(line(&head))?;
    out.line("\\hline")?;
    for row in rows {
        out.line(line(&cells(row, sections)))?;
    }
    out.line("\\hline\n\\end{tabular}")
}
