use super::*;

fn finds(pattern: &str, options: &str, text: &str) -> bool {
    let compiled = Pattern::new(pattern, options).compile();
    compiled
        .unwrap_or_else(|e| panic!("{pattern}: {e}"))
        .is_match(text)
}

#[test]
fn classes_know_ascii_only() {
    for (pattern, text, expected) in [
        (r"^\d$", "٣", false),
        (r"^\D$", "٣", true),
        (r"^\w$", "é", false),
        (r"^\W$", "é", true),
        (r"^[\W]$", "é", true),
        (r"^[^\w]$", "é", true),
        (r"^\s$", "\u{a0}", false),
        (r"^\s$", "\u{b}", true),
        (r"a\b", "aé", true),
        (r"^\w+$", "a_9", true),
        (r"^[[:alpha:]_]+$", "a_", true),
        (r"^\pL$", "é", true),
        (r"^\p{^L}$", "é", false),
        (r"^\P{^L}$", "é", true),
    ] {
        assert_eq!(finds(pattern, "", text), expected, "{pattern} {text}");
    }
}

#[test]
fn signs_of_sets_are_plain_in_classes() {
    assert!(finds("^[a&&b]+$", "", "a&b"));
    assert!(finds("^[a~~b]+$", "", "~"));
    assert!(finds("^[[a]+$", "", "[a"));
    assert!(finds("^[]a]+$", "", "]a"));
    assert!(finds("^[^]a]+$", "", "b"));
    assert!(finds("^[a-]+$", "", "-a"));
    assert!(finds("^[-a]+$", "", "-a"));
    assert!(finds("^[+--]$", "", ","));
    assert!(finds(r"^\<\>$", "", "<>"));
    assert!(!finds("[[:foo]", "", "b"));
}

#[test]
fn white_space_and_comments_are_ignored_on_demand() {
    assert!(finds("^a b # (?=x)\n c$", "x", "abc"));
    assert!(finds("^a[ ]b$", "x", "a b"));
    assert!(finds("(?x)^a b$", "", "ab"));
    assert!(finds("^(?x: a b ) c$", "", "ab c"));
    assert!(finds("^(?x) a (?-x) b$", "", "a b"));
    assert!(finds("^a {2}$", "x", "aa"));
    assert!(finds("foo # to the end", "x", "foo"));
}

#[test]
fn case_does_not_make_letters_ascii() {
    // U+017F and U+212A are other cases of s and k.
    for (pattern, text, expected) in [
        (r"^\w$", "\u{17f}", false),
        (r"^[\w]$", "\u{212a}", false),
        (r"^[\w\x{212a}]$", "\u{212a}", true),
        (r"^[^\w-]$", "\u{17f}", true),
        (r"^[^\w\x{17f}]$", "\u{17f}", false),
        (r"^[\Wk]$", "\u{212a}", true),
        (r"^[k\d]$", "\u{212a}", true),
        (r"^[k\d]$", "K", true),
        (r"^[\w\W]$", "é", true),
        (r"^[^\w\W]$", "é", false),
        (r"^(?-i:[\w])$", "a", true),
    ] {
        assert_eq!(finds(pattern, "i", text), expected, "{pattern} {text}");
    }
}

#[test]
fn options_are_flags() {
    assert!(finds("É", "i", "é"));
    assert!(finds("^b$", "m", "a\nb\nc"));
    assert!(!finds("^b$", "", "a\nb\nc"));
    assert!(!finds("a$", "", "a\n"));
    assert!(finds("a.b", "s", "a\nb"));
    assert!(finds("(?i-s:A.)b", "s", "axb"));
    assert_eq!(Pattern::new("a", "xi").options(), "ix");
}

#[track_caller]
fn refused(pattern: &str, kind: ErrorKind, offset: usize) {
    let error = Pattern::new(pattern, "").compile().unwrap_err();
    assert_eq!(
        (error.kind(), error.pattern_offset()),
        (kind, Some(offset)),
        "{pattern}: {error}"
    );
}

#[test]
fn what_needs_backtracking_is_refused_where_it_stands() {
    for (pattern, offset) in [
        ("é(?=x)", 2),
        ("a(?!x)", 1),
        ("(?<=x)a", 0),
        ("(?<!x)a", 0),
        (r"(a)\1", 3),
        (r"(?<n>a)\k<n>", 7),
        ("(?>a)", 0),
        ("a(?#b)", 1),
        ("(?P=n)", 0),
        ("(?R)", 0),
        ("(?1)", 0),
        ("(?-1)", 0),
        ("(?(1)a)", 0),
        ("(?|a)", 0),
        ("(*UTF8)a", 0),
        ("(?u)a", 0),
        (r"a\Z", 1),
        (r"\Ga", 0),
        (r"\Ka", 0),
        (r"\ha", 0),
        (r"\Ra", 0),
        (r"\C", 0),
        (r"\u65e5", 0),
        (r"\Qa.b\E", 0),
        (r"\012", 0),
        (r"[\x41\1]", 5),
    ] {
        refused(pattern, ErrorKind::UnsupportedRegexFeature, offset);
    }
}

#[test]
fn what_is_none_is_refused_where_it_stands() {
    for (pattern, offset) in [
        ("ab(", 2),
        ("ab)", 2),
        ("*a", 0),
        ("a**", 2),
        ("a|*", 2),
        ("(?:*)", 3),
        ("[a-", 0),
        ("a[z-a]", 2),
        (r"[a-\d]", 2),
        (r"[\d-z]", 3),
        ("a{2,1}", 1),
        ("x{2", 1),
        ("a{,3}", 1),
        ("{", 0),
        (r"a\", 1),
        (r"\y", 0),
        (r"\xzz", 0),
        (r"\x{110000}", 0),
        (r"\p{Nope}", 0),
        ("[[:nope:]]", 1),
    ] {
        refused(pattern, ErrorKind::BadRegex, offset);
    }
    let error = Pattern::new("((((a{1000}){1000}){1000}))", "")
        .compile()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRegex);
}

#[test]
fn a_lenient_pattern_has_quotes_and_plain_braces() {
    let finds = |pattern: &str, text: &str| {
        let compiled = Pattern::new(pattern, "").lenient().compile();
        compiled
            .unwrap_or_else(|e| panic!("{pattern}: {e}"))
            .is_match(text)
    };
    assert!(finds(r"^\Qa.b\E$", "a.b"));
    assert!(!finds(r"^\Qa.b\E$", "axb"));
    assert!(finds(r"^\Qa.*", "a.*"));
    assert!(finds("^x{2$", "x{2"));
    assert!(finds("^a{,3}$", "a{,3}"));
    assert!(finds("^{$", "{"));
}

#[test]
fn plain_patterns_are_known() {
    let check = |pattern: &str, options: &str, expected: Option<Shape>| {
        assert_eq!(
            Pattern::new(pattern, options).shape(),
            expected,
            "{pattern}"
        );
    };
    check("a\\.b", "", Some(Shape::Contains("a.b".into())));
    check("^ab", "s", Some(Shape::Prefix("ab".into())));
    check("^ab$", "", Some(Shape::Exact("ab".into())));
    check("", "", Some(Shape::Contains(String::new())));
    check("$", "", Some(Shape::Contains(String::new())));
    check("^", "", Some(Shape::Prefix(String::new())));
    check("ab$", "", None);
    check("^ab", "m", None);
    check("ab", "i", None);
    check("a.b", "", None);
    check("a|b", "", None);
    check("(ab)", "", None);
}
