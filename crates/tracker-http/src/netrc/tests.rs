use secrecy::ExposeSecret as _;

use super::*;

#[track_caller]
fn check(text: &str, host: &str, expected: Option<(&str, &str, &str)>) {
    let netrc = Netrc::parse(text).unwrap();
    let found = netrc.find(host);
    let found = found.map(|found| {
        (
            found.login.as_str(),
            found.account.as_str(),
            found.password.expose_secret(),
        )
    });
    assert_eq!(found, expected);
}

#[test]
fn entries_as_python_reads_them() {
    check("machine a login me password x", "a", Some(("me", "", "x")));
    check(
        "machine a\n\tlogin me\n\taccount it\n\tpassword x\n",
        "a",
        Some(("me", "it", "x")),
    );
    check(
        "machine a user me password x\nmachine b login you password y",
        "b",
        Some(("you", "", "y")),
    );
    check("machine a login me password x", "b", None);
    check(
        "machine a login me password x\ndefault login all password z",
        "b",
        Some(("all", "", "z")),
    );
    check(
        "machine a login \"me too\" password \"q\\\"x\"",
        "a",
        Some(("me too", "", "q\"x")),
    );
    check(
        "machine a login me password p\\ q#r",
        "a",
        Some(("me", "", "p q#r")),
    );
    check(
        "machine a login me password \"\"",
        "a",
        Some(("me", "", "")),
    );
    check(
        "machine a login 1 password 1\nmachine a login 2 password 2",
        "a",
        Some(("2", "", "2")),
    );
    check("", "a", None);
}

#[test]
fn comments_and_macros_are_passed_over() {
    check(
        "# a comment\nmachine a login me password x",
        "a",
        Some(("me", "", "x")),
    );
    check(
        "#a comment\n#one\nmachine a login me #two\npassword x",
        "a",
        Some(("me", "", "x")),
    );
    check(
        "#\nmachine a login me password x",
        "a",
        Some(("me", "", "x")),
    );
    check(
        "machine a login me # a comment\npassword x",
        "a",
        Some(("me", "", "x")),
    );
    check(
        "machine a login me password #x",
        "a",
        Some(("me", "", "#x")),
    );
    check(
        "macdef init\necho machine b\nquit\n\nmachine a login me password x",
        "a",
        Some(("me", "", "x")),
    );
}

#[test]
fn what_is_wrong_is_told_by_its_line_and_not_shown() {
    for (text, line) in [
        ("machine a\nlogin me\ncanary x", 3),
        ("canary", 1),
        ("machine", 1),
        ("machine a\nmacdef x\ncanary", 3),
    ] {
        let error = Netrc::parse(text).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("line {line}: ")),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn the_password_is_not_shown() {
    let netrc = Netrc::parse("machine a login canary password canary").unwrap();
    assert!(!format!("{netrc:?}").contains("canary"));
    assert!(!format!("{:?}", netrc.find("a").unwrap().credentials()).contains("canary"));
}

proptest::proptest! {
    #[test]
    fn no_file_is_too_odd(text in "(machine|default|macdef|login|password|[a-z\"\\\\# \n]|é){0,40}") {
        let _ = Netrc::parse(&text);
    }
}

#[test]
fn a_login_takes_the_place_of_the_one_of_its_host() {
    let set = |text: &str, host: &str, password: &str| {
        with_login(text, host, "user", &SecretString::from(password))
            .map(|text| text.expose_secret().to_owned())
    };
    let ours = |key: &str| format!("machine h:1\n  login user\n  password {key}\n");
    assert_eq!(set("", "h:1", "k").unwrap(), ours("k"));
    assert_eq!(set(&ours("k"), "h:1", "n").unwrap(), ours("n"));
    let others = "# mine\nmachine a login b password c\nmachine h\n\tlogin d\n\tpassword e";
    let both = set(others, "h:1", "k").unwrap();
    assert_eq!(both, format!("{others}\n{}", ours("k")));
    let middle = format!("{}{others}\n", ours("old"));
    assert_eq!(
        set(&middle, "h:1", "k").unwrap(),
        format!("{others}\n{}", ours("k"))
    );
    let macros = "macdef init\necho machine x\n\nmachine a login b password c\n";
    assert_eq!(
        set(macros, "h:1", "k").unwrap(),
        format!("{macros}{}", ours("k"))
    );
    // What would be read otherwise is not written.
    for (text, key) in [
        (
            "machine h:1 login a password b machine c login d password e\n",
            "k",
        ),
        ("machine a login b\n", "two words"),
        (
            "machine h:1 login\n a password\n b\nmachine c login d password e\n",
            "k",
        ),
        ("nonsense", "k"),
    ] {
        assert!(set(text, "h:1", key).is_err(), "{text}");
    }
}
