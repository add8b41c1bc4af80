//! Latency over time as a picture: one line for each percentile, so that a spike that comes again
//! and again is seen.

mod axis;
mod svg;

use std::{io, path::Path};

use self::{
    axis::Axis,
    svg::{Anchor, Lettering, Stroke, Svg},
};
use super::report::{Quantiles, Report, Window};
use crate::cli::failure::Failure;

const WIDTH: u32 = 1_100;
const HEIGHT: u32 = 560;
/// The edges of the plot itself; titles are above, seconds below, the legend to its right.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 508.0;

const INK: &str = "#222222";
const FAINT_INK: &str = "#666666";
const GRID: Stroke = Stroke { colour: "#d8d8d8", width: 1.0, dashes: "" };
const FINE_GRID: Stroke = Stroke { colour: "#efefef", width: 1.0, dashes: "" };
const FRAME: Stroke = Stroke { colour: "#999999", width: 1.0, dashes: "" };
/// Behind windows in which nothing was answered.
const SILENCE: &str = "#f3dede";

const LETTERS: Lettering = Lettering { size: 13, colour: INK, anchor: Anchor::Start, bold: false };
/// Longest title, in letters, that has room.
const TITLE_LETTERS_MAX: usize = 150;

/// One of them.
type Quantile = fn(&Quantiles) -> u64;

/// The percentiles shown, from below to above, each as a line of its own.
const LINES: [(&str, Quantile); 4] = [
    ("p50", |quantiles| quantiles.p50),
    ("p99", |quantiles| quantiles.p99),
    ("p99.9", |quantiles| quantiles.p999),
    ("max", |quantiles| quantiles.max),
];

/// Of one run each percentile has a colour, which people of any eyes can tell apart.
const OF_ONE: [Stroke; 4] = [
    Stroke { colour: "#0072b2", width: 2.0, dashes: "" },
    Stroke { colour: "#009e73", width: 2.0, dashes: "" },
    Stroke { colour: "#e69f00", width: 1.6, dashes: "" },
    Stroke { colour: "#c2301c", width: 1.2, dashes: "" },
];

/// Of two runs each run has a colour, the first purple, the second blue.
pub const OF_TWO: [&str; 2] = ["#7b2cbf", "#0077ff"];

/// A run in a picture.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What it is called; empty where there is but one.
    pub name: &'a str,
    /// What was measured.
    pub report: &'a Report,
    /// The looks of [`LINES`].
    strokes: [Stroke; 4],
}

impl<'a> Run<'a> {
    /// The only one.
    pub fn alone(report: &'a Report) -> Self {
        Self { name: "", report, strokes: OF_ONE }
    }

    /// One of several, all in one colour.
    pub fn beside(name: &'a str, report: &'a Report, colour: &'static str) -> Self {
        let stroke = |width, dashes| Stroke { colour, width, dashes };
        let strokes = [stroke(2.6, ""), stroke(1.6, ""), stroke(1.4, "6 4"), stroke(1.2, "1 4")];
        Self { name, report, strokes }
    }
}

/// Writes the picture of these runs to `path`.
pub fn write(path: &Path, runs: &[Run<'_>]) -> Result<(), Failure> {
    let named = |error: io::Error| {
        let path = path.display();
        io::Error::new(error.kind(), format!("{path}: {error}"))
    };
    Ok(std::fs::write(path, picture(runs)).map_err(named)?)
}

/// The picture of these runs.
fn picture(runs: &[Run<'_>]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let (seconds, micros) = axes(runs);
    titles(&mut svg, runs);
    if let [run] = runs {
        silences(&mut svg, run, &seconds);
    }
    grid(&mut svg, &seconds, &micros);
    for (line, (_, quantile)) in LINES.iter().enumerate().rev() {
        for run in runs {
            for points in points(run, *quantile, &seconds, &micros) {
                svg.path(&points, run.strokes[line]);
            }
        }
    }
    legend(&mut svg, runs);
    svg.finish()
}

fn axes(runs: &[Run<'_>]) -> (Axis, Axis) {
    let windows = || runs.iter().flat_map(|run| &run.report.windows);
    let quantiles = || windows().filter_map(|window| window.latency_us);
    let end = windows().map(|window| window.at_seconds + window.seconds).fold(0.0, f64::max);
    let low = quantiles().map(|quantiles| quantiles.p50).min().unwrap_or(1).max(1);
    let high = quantiles().map(|quantiles| quantiles.max).max().unwrap_or(1).max(1);
    let micros = Axis::logarithmic(low as f64, high as f64, BOTTOM, TOP);
    (Axis::linear(end, LEFT, RIGHT), micros)
}

fn titles(svg: &mut Svg, runs: &[Run<'_>]) {
    for (run, y) in runs.iter().zip([28.0, 50.0]) {
        let Report { plan, .. } = run.report;
        let name = if run.name.is_empty() { String::new() } else { format!("{}: ", run.name) };
        let title: String =
            format!("{name}{}", plan.title()).chars().take(TITLE_LETTERS_MAX).collect();
        let colour = if runs.len() > 1 { run.strokes[0].colour } else { INK };
        svg.text((LEFT, y), Lettering { size: 15, bold: true, colour, ..LETTERS }, &title);
    }
    if let [run] = runs {
        let faint = Lettering { colour: FAINT_INK, ..LETTERS };
        svg.text((LEFT, 50.0), faint, &subtitle(run.report));
    }
    let caption = "latency, logarithmic";
    svg.text((LEFT, TOP - 10.0), Lettering { colour: FAINT_INK, size: 12, ..LETTERS }, caption);
}

fn subtitle(report: &Report) -> String {
    let mut text = format!("{:.0} calls/s answered", report.calls_per_second);
    if let Some(offered) = report.calls_per_second_offered {
        text += &format!(" of {offered:.0} offered, {} unsent", report.unsent_calls);
    }
    text += &format!(", {} errors", report.failed());
    if let Some(server) = report.server {
        text += &format!(", server {:.2} cores", server.cpu_cores);
    }
    text + &format!("; readstates {}, {}", report.version, report.ended_at)
}

/// Windows without an answer, of a run that is alone.
fn silences(svg: &mut Svg, run: &Run<'_>, seconds: &Axis) {
    for window in silent(run) {
        let (from, to) = (window.at_seconds, window.at_seconds + window.seconds);
        svg.area((seconds.px(from), TOP), (seconds.px(to), BOTTOM), SILENCE);
    }
}

fn silent<'a>(run: &Run<'a>) -> impl Iterator<Item = &'a Window> + use<'a> {
    run.report.windows.iter().filter(|window| window.latency_us.is_none())
}

fn grid(svg: &mut Svg, seconds: &Axis, micros: &Axis) {
    let figures = Lettering { size: 12, colour: FAINT_INK, ..LETTERS };
    for tick in micros.ticks() {
        let y = micros.px(tick.value);
        svg.line((LEFT, y), (RIGHT, y), if tick.named { GRID } else { FINE_GRID });
        if tick.named {
            let figures = Lettering { anchor: Anchor::End, ..figures };
            svg.text((LEFT - 8.0, y + 4.0), figures, &duration(tick.value));
        }
    }
    for tick in seconds.ticks() {
        let x = seconds.px(tick.value);
        svg.line((x, TOP), (x, BOTTOM), FINE_GRID);
        svg.line((x, BOTTOM), (x, BOTTOM + 5.0), FRAME);
        let figures = Lettering { anchor: Anchor::Middle, ..figures };
        svg.text((x, BOTTOM + 20.0), figures, &figure(tick.value));
    }
    let corners = [(LEFT, TOP), (RIGHT, TOP), (RIGHT, BOTTOM), (LEFT, BOTTOM), (LEFT, TOP)];
    svg.path(&corners, FRAME);
    let words = Lettering { anchor: Anchor::Middle, ..figures };
    svg.text((f64::midpoint(LEFT, RIGHT), BOTTOM + 40.0), words, "seconds since the warm-up");
}

/// The line of one percentile; it is interrupted where nothing was answered.
fn points(
    run: &Run<'_>,
    quantile: Quantile,
    seconds: &Axis,
    micros: &Axis,
) -> Vec<Vec<(f64, f64)>> {
    let pieces = run.report.windows.split(|window| window.latency_us.is_none());
    let place = |window: &Window| {
        let micros_of = window.latency_us.as_ref().map_or(0, quantile);
        let middle = window.at_seconds + window.seconds / 2.0;
        (seconds.px(middle), micros.px(micros_of as f64))
    };
    let pieces = pieces.map(|piece| piece.iter().map(place).collect::<Vec<_>>());
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// The percentiles of the whole run beside their lines' looks.
fn legend(svg: &mut Svg, runs: &[Run<'_>]) {
    let (x, mut y) = (RIGHT + 18.0, TOP + 10.0);
    for run in runs {
        if !run.name.is_empty() {
            let letters = Lettering { bold: true, colour: run.strokes[0].colour, ..LETTERS };
            svg.text((x, y), letters, run.name);
            y += 20.0;
        }
        for ((name, quantile), stroke) in LINES.iter().zip(run.strokes).rev() {
            svg.line((x, y - 4.0), (x + 26.0, y - 4.0), stroke);
            let whole = run.report.latency_us.as_ref().map(quantile);
            let value = whole.map_or_else(String::new, |micros| duration(micros as f64));
            svg.text((x + 34.0, y), LETTERS, name);
            svg.text((x + 148.0, y), Lettering { anchor: Anchor::End, ..LETTERS }, &value);
            y += 20.0;
        }
        y += 12.0;
    }
    let faint = Lettering { size: 11, colour: FAINT_INK, ..LETTERS };
    svg.text((x, y), faint, "figures: the whole run");
    if runs.len() == 1 && silent(&runs[0]).next().is_some() {
        svg.area((x, y + 12.0), (x + 26.0, y + 24.0), SILENCE);
        svg.text((x + 34.0, y + 22.0), faint, "nothing answered");
    }
}

/// With the unit that makes it short.
fn duration(micros: f64) -> String {
    let (value, unit) = match micros {
        micros if micros < 999.5 => (micros, "\u{b5}s"),
        micros if micros < 999_500.0 => (micros / 1e3, "ms"),
        micros => (micros / 1e6, "s"),
    };
    format!("{} {unit}", figure(value))
}

/// To three digits, without zeros that say nothing.
fn figure(value: f64) -> String {
    let text = match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::plan::{Mix, Plan},
        *,
    };

    /// A run whose slowest call takes ten times as long in every fifth window; in those of
    /// `silent` nothing is answered.
    fn report(windows: usize, silent: &[usize]) -> Report {
        let window = |index: usize| {
            let slow = if index.is_multiple_of(5) { 10 } else { 1 };
            let quantiles = Quantiles {
                p50: 120,
                p90: 200,
                p99: 700,
                p999: 1_500 * slow,
                p9999: 2_000 * slow,
                max: 3_000 * slow,
            };
            Window {
                at_seconds: index as f64,
                seconds: 1.0,
                calls: 1,
                operations: 1,
                errors: 0,
                latency_us: Some(quantiles).filter(|_| !silent.contains(&index)),
                server_cpu_cores: None,
                server_rss_bytes: None,
            }
        };
        let windows: Vec<_> = (0..windows).map(window).collect();
        let latency_us = windows.iter().find_map(|window| window.latency_us);
        Report { windows, latency_us, ..Report::empty(Plan::small(Mix::Ack)) }
    }

    #[test]
    fn every_percentile_has_a_line_and_a_value() {
        let text = picture(&[Run::alone(&report(30, &[]))]);
        for (stroke, (name, _)) in OF_ONE.iter().zip(LINES) {
            let lines = text.lines().filter(|line| line.contains(stroke.colour));
            let longest = lines.map(|line| line.matches(" L").count()).max();
            assert_eq!(longest, Some(29), "{name}");
            assert!(text.contains(&format!(">{name}</text>")), "{name}");
        }
        for part in ["ack, closed loop", ">15 ms<", ">120 \u{b5}s<", ">10 ms<", ">30<"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_was_answered() {
        let report = report(10, &[0, 4, 5]);
        let (seconds, micros) = axes(&[Run::alone(&report)]);
        let pieces = points(&Run::alone(&report), |quantiles| quantiles.max, &seconds, &micros);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(picture(&[Run::alone(&report)]).matches(SILENCE).count(), 4);
    }

    #[test]
    fn two_runs_have_a_colour_each() {
        let (a, b) = (report(10, &[]), report(20, &[3]));
        let [purple, blue] = OF_TWO;
        let text = picture(&[Run::beside("A", &a, purple), Run::beside("B", &b, blue)]);
        // Four lines, one of them in two pieces, four in the legend, and words.
        assert!(text.matches(&format!("stroke=\"{purple}\"")).count() == 8, "{text}");
        assert!(text.matches(&format!("stroke=\"{blue}\"")).count() == 12, "{text}");
        assert!(text.contains(">A: ack, closed loop") && text.contains(">B</text>"), "{text}");
    }

    #[test]
    fn a_run_without_windows_is_an_empty_plot() {
        let text = picture(&[Run::alone(&Report::empty(Plan::small(Mix::Ack)))]);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn durations_are_short() {
        let texts = [1.0, 250.0, 999.9, 1_234.0, 45_670.0, 2_500_000.0].map(duration);
        assert_eq!(texts, ["1 \u{b5}s", "250 \u{b5}s", "1 ms", "1.23 ms", "45.7 ms", "2.5 s"]);
        assert_eq!([0.0, 0.5, 10.0, 100.0, 3_600.0].map(figure), ["0", "0.5", "10", "100", "3600"]);
    }
}
