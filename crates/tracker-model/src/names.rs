use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest name, in characters. MLflow allows 500 for an experiment.
const MAX_NAME: usize = 512;

/// Characters that mean something in a path or a URL.
const RESERVED: [char; 6] = ['/', '\\', '#', '?', '%', ':'];

fn legal_char(c: char) -> bool {
    !RESERVED.contains(&c) && !c.is_control()
}

fn check(what: &str, name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "is empty".to_owned()
    } else if name == "." || name == ".." {
        "means a folder".to_owned()
    } else if name.trim() != name {
        "starts or ends with white space".to_owned()
    } else if name.chars().count() > MAX_NAME {
        format!("has more than {MAX_NAME} characters")
    } else if let Some(c) = name.chars().find(|c| !legal_char(*c)) {
        format!("holds {c:?}")
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("{what} {name:?} {why}")))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 512 characters, none of them `/ \ # ? % :` or a control character, not `.` or
        /// `..`, no white space at the ends.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the name.
            ///
            /// # Errors
            /// `InvalidInput` if a rule of the type is broken; the message says which.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                check($what, name.as_ref())?;
                Ok(Self(Arc::from(name.as_ref())))
            }

            /// The nearest legal name: reserved and control characters become `-`, white space at
            /// the ends goes, what is too long is cut. Equal to the input if that was legal.
            pub fn legalised(name: &str) -> Self {
                let mut out: String = name.trim().chars().take(MAX_NAME).map(|c| if legal_char(c) { c } else { '-' }).collect();
                out.truncate(out.trim_end().len());
                if out.is_empty() || out == "." || out == ".." {
                    out = "-".to_owned();
                }
                Self(Arc::from(out))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(s: &str) -> Result<Self> {
                Self::new(s)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(s: String) -> Result<Self> {
                Self::new(s)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// Who owns projects: a user or a team.
    EntityName, "entity"
);
name!(
    /// A project, the folder of runs.
    ProjectName, "project"
);
name!(
    /// The identity of a run inside its project. It never changes; the display name may.
    RunId, "run id"
);

name!(
    /// The identity of a sweep inside its project.
    SweepId, "sweep id"
);

name!(
    /// The identity of a report inside its project.
    ReportId, "report id"
);

/// `entity/project`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectPath {
    /// The owner.
    pub entity: EntityName,
    /// The project.
    pub project: ProjectName,
}

impl ProjectPath {
    /// The address of a project.
    pub fn new(entity: EntityName, project: ProjectName) -> Self {
        Self { entity, project }
    }

    /// The address of a sweep in it.
    pub fn sweep(&self, sweep: SweepId) -> SweepPath {
        SweepPath {
            entity: self.entity.clone(),
            project: self.project.clone(),
            sweep,
        }
    }

    /// The address of a report in it.
    pub fn report(&self, report: ReportId) -> ReportPath {
        ReportPath {
            entity: self.entity.clone(),
            project: self.project.clone(),
            report,
        }
    }

    /// The address of a run in it.
    pub fn run(&self, run: RunId) -> RunPath {
        RunPath {
            entity: self.entity.clone(),
            project: self.project.clone(),
            run,
        }
    }
}

/// `entity/project/run`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunPath {
    /// The owner.
    pub entity: EntityName,
    /// The project.
    pub project: ProjectName,
    /// The run.
    pub run: RunId,
}

impl RunPath {
    /// The address of a run.
    pub fn new(entity: EntityName, project: ProjectName, run: RunId) -> Self {
        Self {
            entity,
            project,
            run,
        }
    }

    /// The project that the run is in.
    pub fn project_path(&self) -> ProjectPath {
        ProjectPath::new(self.entity.clone(), self.project.clone())
    }
}

/// `entity/project/sweep`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SweepPath {
    /// The owner.
    pub entity: EntityName,
    /// The project.
    pub project: ProjectName,
    /// The sweep.
    pub sweep: SweepId,
}

impl SweepPath {
    /// The project that the sweep is in.
    pub fn project_path(&self) -> ProjectPath {
        ProjectPath::new(self.entity.clone(), self.project.clone())
    }
}

/// `entity/project/report`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReportPath {
    /// The owner.
    pub entity: EntityName,
    /// The project.
    pub project: ProjectName,
    /// The report.
    pub report: ReportId,
}

impl ReportPath {
    /// The project that the report is in.
    pub fn project_path(&self) -> ProjectPath {
        ProjectPath::new(self.entity.clone(), self.project.clone())
    }
}

macro_rules! text_form {
    ($type:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(s: String) -> Result<Self> {
                s.parse()
            }
        }

        impl From<$type> for String {
            fn from(path: $type) -> Self {
                path.to_string()
            }
        }
    };
}
text_form!(ProjectPath);
text_form!(RunPath);
text_form!(SweepPath);
text_form!(ReportPath);

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity, self.project)
    }
}

impl fmt::Display for RunPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.entity, self.project, self.run)
    }
}

impl fmt::Display for SweepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.entity, self.project, self.sweep)
    }
}

impl fmt::Display for ReportPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.entity, self.project, self.report)
    }
}

impl FromStr for ReportPath {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.split('/').collect::<Vec<_>>()[..] {
            [entity, project, report] => Ok(ProjectPath::new(
                EntityName::new(entity)?,
                ProjectName::new(project)?,
            )
            .report(ReportId::new(report)?)),
            _ => Err(Error::invalid(format!(
                "{s:?} is not a report: it needs the form ENTITY/PROJECT/REPORT"
            ))),
        }
    }
}

impl FromStr for SweepPath {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.split('/').collect::<Vec<_>>()[..] {
            [entity, project, sweep] => Ok(ProjectPath::new(
                EntityName::new(entity)?,
                ProjectName::new(project)?,
            )
            .sweep(SweepId::new(sweep)?)),
            _ => Err(Error::invalid(format!(
                "{s:?} is not a sweep: it needs the form ENTITY/PROJECT/SWEEP"
            ))),
        }
    }
}

impl FromStr for ProjectPath {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.split('/').collect::<Vec<_>>()[..] {
            [entity, project] => Ok(Self::new(
                EntityName::new(entity)?,
                ProjectName::new(project)?,
            )),
            _ => Err(Error::invalid(format!(
                "{s:?} is not a project: it needs the form ENTITY/PROJECT"
            ))),
        }
    }
}

impl FromStr for RunPath {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.split('/').collect::<Vec<_>>()[..] {
            [entity, project, run] => Ok(Self::new(
                EntityName::new(entity)?,
                ProjectName::new(project)?,
                RunId::new(run)?,
            )),
            _ => Err(Error::invalid(format!(
                "{s:?} is not a run: it needs the form ENTITY/PROJECT/RUN"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_round_trip() {
        let path: RunPath = "local/ünï 实验/abc".parse().unwrap();
        assert_eq!(path.to_string().parse::<RunPath>().unwrap(), path);
        assert!("a/b".parse::<RunPath>().is_err());
        assert!("a/../c".parse::<RunPath>().is_err());
    }

    #[test]
    fn legalised_is_legal_and_keeps_legal_names() {
        for name in [
            "a",
            "",
            ".",
            "..",
            " x ",
            "a/b\\c#d?e%f:g\u{0}",
            "ünï",
            &"x".repeat(600),
            &format!("{} /", "y".repeat(511)),
        ] {
            let legal = ProjectName::legalised(name);
            assert_eq!(ProjectName::new(legal.as_str()).unwrap(), legal, "{name:?}");
        }
        assert_eq!(ProjectName::legalised("plain name").as_str(), "plain name");
    }

    proptest! {
        #[test]
        fn any_text_has_a_legal_name(text in any::<String>(), odd in "[./%: \\\\a-cü\u{7}]{0,12}") {
            for text in [text, odd] {
                let legal = RunId::legalised(&text);
                prop_assert_eq!(&RunId::new(legal.as_str()).unwrap(), &legal);
                prop_assert_eq!(&RunId::legalised(legal.as_str()), &legal);
                if RunId::new(&text).is_ok() {
                    prop_assert_eq!(legal.as_str(), text);
                }
            }
        }

        #[test]
        fn addresses_round_trip(names in proptest::array::uniform3("\\PC{1,20}")) {
            let [entity, project, run] = names.map(|name| RunId::legalised(&name).as_str().to_owned());
            let path = RunPath::new(
                EntityName::new(&entity).unwrap(),
                ProjectName::new(&project).unwrap(),
                RunId::new(&run).unwrap(),
            );
            prop_assert_eq!(&path.to_string().parse::<RunPath>().unwrap(), &path);
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<RunPath>(&json).unwrap(), path);
        }

        #[test]
        fn any_text_is_an_address_or_refused(text in "[a./% ]{0,12}") {
            if let Ok(path) = text.parse::<RunPath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
