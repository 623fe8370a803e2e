//! Logins in a `.netrc` file, read as Python's `netrc` module reads it, but that a comment may
//! begin without a space after its `#`.

use std::collections::HashMap;
use std::fmt;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{Credentials, Error, ErrorKind, Result};

/// A larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

/// The logins of a `.netrc` file.
#[derive(Debug, Clone, Default)]
pub struct Netrc {
    hosts: HashMap<String, Login>,
}

/// The login for a host.
#[derive(Clone, Default)]
pub struct Login {
    /// The name of the user; may be empty.
    pub login: String,
    /// A further name, which some programs use if there is no user; often empty.
    pub account: String,
    /// The password or key.
    pub password: SecretString,
}

impl Netrc {
    /// Where the file is: `$NETRC`, else `.netrc` in the home folder, else `_netrc` there. `None`
    /// if none of them exists.
    pub fn default_path() -> Option<PathBuf> {
        if let Some(path) = std::env::var_os("NETRC").filter(|path| !path.is_empty()) {
            return Some(PathBuf::from(path)).filter(|path| path.exists());
        }
        let home = std::env::home_dir()?;
        [".netrc", "_netrc"]
            .iter()
            .map(|name| home.join(name))
            .find(|path| path.exists())
    }

    /// Reads the file at the [default path](Self::default_path); without one there are no logins.
    ///
    /// # Errors
    /// `InvalidInput` when the file cannot be read or understood.
    pub fn load() -> Result<Self> {
        Self::default_path().map_or_else(|| Ok(Self::default()), Self::read)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `InvalidInput` when the file cannot be read or understood.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&crate::ini::read_text(path, MAX_BYTES)?).map_err(|error| {
            let message = format!("read {}: {error}", path.display());
            Error::new(ErrorKind::InvalidInput, message)
        })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// `InvalidInput` with the number of the line that cannot be understood. What stands there is
    /// not shown, since it may be a password.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens = Tokens {
            characters: text.chars().peekable(),
            line: 1,
        };
        let mut hosts = HashMap::new();
        let mut pushed_back = None;
        loop {
            // A comment that is one word has taken the end of its line with it.
            let line = tokens.line;
            let token = pushed_back.take().unwrap_or_else(|| tokens.next());
            let host = match token.as_str() {
                "" => break,
                "machine" => {
                    let host = tokens.next();
                    if host.is_empty() {
                        return Err(tokens.error("a host must follow `machine`"));
                    }
                    host
                }
                "default" => "default".to_owned(),
                "macdef" => {
                    tokens.next();
                    tokens.skip_macro()?;
                    continue;
                }
                comment if comment.starts_with('#') => {
                    if tokens.line == line {
                        tokens.skip_line();
                    }
                    continue;
                }
                _ => return Err(tokens.error("`machine`, `default` or `macdef` is expected")),
            };
            let (login, next) = tokens.login()?;
            hosts.insert(host, login);
            pushed_back = Some(next);
        }
        Ok(Self { hosts })
    }

    /// The login that names the host; some programs write a port behind its name.
    pub fn named(&self, host: &str) -> Option<&Login> {
        self.hosts.get(host)
    }

    /// The login for a host (a name without port), else the default one.
    pub fn find(&self, host: &str) -> Option<&Login> {
        self.hosts.get(host).or_else(|| self.hosts.get("default"))
    }
}

/// The text of a file with this login in place of that which the host had. All else stays as it is.
///
/// # Errors
/// `InvalidInput` if the text is not understood, is written in a way that hides where the login
/// ends, or if the login cannot stand in such a file.
pub fn with_login(
    text: &str,
    host: &str,
    login: &str,
    password: &SecretString,
) -> Result<SecretString> {
    let before = Netrc::parse(text)?;
    let mut out = String::with_capacity(text.len() + 128);
    let mut within = false;
    for line in text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        within = match first {
            "machine" => words.next() == Some(host),
            "login" | "user" | "account" | "password" => within,
            _ => false,
        };
        if !within {
            out.push_str(line);
        }
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let password = password.expose_secret();
    out.push_str(&format!(
        "machine {host}\n  login {login}\n  password {password}\n"
    ));
    // Read as it will be read: whatever was not understood above would show here.
    let after = Netrc::parse(&out)?;
    let is_same = |a: &Login, b: &Login| {
        a.login == b.login
            && a.account == b.account
            && a.password.expose_secret() == b.password.expose_secret()
    };
    let kept = before.hosts.iter().filter(|(name, _)| *name != host);
    let mut kept = kept.map(|(name, login)| (after.hosts.get(name), login));
    let others = kept.all(|(now, then)| now.is_some_and(|now| is_same(now, then)));
    let ours = after.hosts.get(host);
    let ours = ours.is_some_and(|l| l.login == login && l.password.expose_secret() == password);
    let count = before.hosts.len() + usize::from(!before.hosts.contains_key(host));
    if others && ours && after.hosts.len() == count {
        return Ok(out.into());
    }
    let message = "the login cannot be put there without changing others";
    Err(Error::new(ErrorKind::InvalidInput, message))
}

impl Login {
    /// As credentials: the user, or else the account, with the password. `None` if all are empty.
    pub fn credentials(&self) -> Option<Credentials> {
        use secrecy::ExposeSecret as _;
        let user = if self.login.is_empty() {
            &self.account
        } else {
            &self.login
        };
        let is_empty = user.is_empty() && self.password.expose_secret().is_empty();
        (!is_empty).then(|| Credentials::basic(user, self.password.clone()))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

struct Tokens<'a> {
    characters: Peekable<Chars<'a>>,
    line: usize,
}

impl Tokens<'_> {
    fn read(&mut self) -> Option<char> {
        let character = self.characters.next();
        if character == Some('\n') {
            self.line += 1;
        }
        character
    }

    /// The next token, empty at the end. A backslash takes the next character as it is.
    fn next(&mut self) -> String {
        let is_space = |character: char| matches!(character, '\n' | '\t' | '\r' | ' ');
        while let Some(character) = self.characters.next_if(|c| is_space(*c)) {
            self.line += usize::from(character == '\n');
        }
        let is_quoted = self.characters.next_if_eq(&'"').is_some();
        let mut token = String::new();
        while let Some(character) = self.read() {
            match character {
                '"' if is_quoted => break,
                c if !is_quoted && is_space(c) => break,
                '\\' => token.extend(self.read()),
                c => token.push(c),
            }
        }
        token
    }

    /// What follows a host, up to the token that begins the next entry.
    fn login(&mut self) -> Result<(Login, String)> {
        let mut login = Login::default();
        loop {
            let line = self.line;
            let token = self.next();
            match token.as_str() {
                "" | "machine" | "default" | "macdef" => return Ok((login, token)),
                "login" | "user" => login.login = self.next(),
                "account" => login.account = self.next(),
                "password" => login.password = self.next().into(),
                comment if comment.starts_with('#') => {
                    if self.line == line {
                        self.skip_line();
                    }
                }
                _ => return Err(self.error("`login`, `account` or `password` is expected")),
            }
        }
    }

    fn skip_line(&mut self) -> usize {
        let mut length = 0;
        while let Some(character) = self.read() {
            length += 1;
            if character == '\n' {
                break;
            }
        }
        length
    }

    /// A macro ends with an empty line.
    fn skip_macro(&mut self) -> Result<()> {
        loop {
            match self.skip_line() {
                0 => return Err(self.error("a macro must end with an empty line")),
                1 => return Ok(()),
                _ => {}
            }
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::InvalidInput,
            format!("line {}: {what}", self.line),
        )
    }
}

#[cfg(test)]
mod tests;
