use super::*;

fn chart(lines: &[Line], log: bool) -> Vec<String> {
    let look = Look {
        width: 48,
        height: 8,
        colour: false,
    };
    let chart = lines.iter().cloned().fold(Chart::new(""), Chart::with_line);
    drawn(&chart.with_log(log), &look)
}

fn line(name: &str, f: impl Fn(f64) -> f64) -> Line {
    let points = (0..=200).map(|i| (f64::from(i), f(f64::from(i))));
    Line::new(name, points).with_about("201 points")
}

#[test]
fn a_curve() {
    let out = chart(&[line("loss", |x| 2.0 * (-x / 40.0).exp())], false).join("\n");
    insta::assert_snapshot!(out);
}

#[test]
fn two_curves_with_a_gap() {
    let gap = |x: f64| {
        if (80.0..120.0).contains(&x) {
            f64::NAN
        } else {
            x / 200.0
        }
    };
    let out = chart(
        &[line("loss", |x| 2.0 * (-x / 40.0).exp()), line("acc", gap)],
        false,
    )
    .join("\n");
    insta::assert_snapshot!(out);
}

#[test]
fn a_logarithmic_curve() {
    let out = chart(&[line("loss", |x| 10f64.powf(1.0 - x / 50.0))], true).join("\n");
    insta::assert_snapshot!(out);
}

#[test]
fn nothing_to_draw() {
    let out = chart(&[line("loss", |_| f64::NAN)], false).join("\n");
    assert_eq!(
        out,
        " loss  201 points\n  nothing to draw: no value is finite"
    );
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [0, 1, 20, 33, 80, 200] {
        for scale in [1.0, 1e300, 1e-300, -7.0] {
            let look = Look {
                width,
                height: 5,
                colour: false,
            };
            let chart = Chart::new("").with_line(line("x", |x| x * scale));
            for text in drawn(&chart.with_across(Across::Time), &look) {
                assert!(
                    text.chars().count() <= width.max(30),
                    "{width} {scale}: {text}"
                );
            }
        }
    }
}
