//! Two runs side by side.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{report::Report, text::ms};
use crate::cli::table::Table;

/// Two reports with the files they are from.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The first and the second.
    pub reports: [Report; 2],
    /// Their files.
    pub files: [PathBuf; 2],
}

/// One figure of both.
struct Row {
    name: String,
    values: [Option<f64>; 2],
    show: fn(f64) -> String,
}

impl Row {
    fn of(
        name: &str,
        pair: &Pair,
        show: fn(f64) -> String,
        value: fn(&Report) -> Option<f64>,
    ) -> Self {
        Self { name: name.to_owned(), values: pair.reports.each_ref().map(value), show }
    }

    /// The second by the first.
    fn ratio(&self) -> Option<f64> {
        let [first, second] = self.values;
        Some(second? / first.filter(|first| *first > 0.0)?)
    }

    fn is_known(&self) -> bool {
        self.values.iter().any(Option::is_some)
    }
}

impl Pair {
    /// What each is, and a table of both.
    pub fn text(&self) -> String {
        let [a, b] = self.reports.each_ref().map(|report| report.plan.title());
        let [of_a, of_b] = self.files.each_ref().map(|file| file.display());
        let mut table = Table::new(&["", "A", "B", "B/A"]);
        for row in self.rows() {
            let [a, b] = row.values.map(|value| value.map_or_else(String::new, row.show));
            let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            table.push(vec![row.name, a, b, ratio]);
        }
        format!("A  {of_a}: {a}\nB  {of_b}: {b}\n\n{}", table.render())
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        let figures = self.rows().into_iter().map(|row| {
            let [a, b] = row.values;
            let ratio = row.ratio();
            (row.name, json!({ "a": a, "b": b, "ratio": ratio }))
        });
        json!({
            "a": self.reports[0].plan,
            "b": self.reports[1].plan,
            "figures": figures.collect::<serde_json::Map<_, _>>(),
        })
    }

    fn rows(&self) -> Vec<Row> {
        let whole: fn(f64) -> String = |value| format!("{value:.0}");
        let fine: fn(f64) -> String = |value| format!("{value:.2}");
        let mib: fn(f64) -> String = |value| format!("{:.1}", value / f64::from(1 << 20));
        let row = |name, show, value| Row::of(name, self, show, value);
        let mut rows = vec![
            row("calls a second", whole, |report| Some(report.calls_per_second)),
            row("operations a second", whole, |report| Some(report.operations_per_second)),
            row("unsent calls", whole, |report| Some(report.unsent_calls as f64)),
            row("errors", whole, |report| Some(report.failed() as f64)),
        ];
        rows.extend(self.latencies());
        rows.extend([
            row("server us/call", fine, |report| report.server?.cpu_us_per_call),
            row("server us/operation", fine, |report| report.server?.cpu_us_per_operation),
            row("server cores", fine, |report| Some(report.server?.cpu_cores)),
            row("server MiB", mib, |report| Some(report.server?.rss_bytes_max as f64)),
            row("generator cores", fine, |report| Some(report.generator?.cpu_cores)),
        ]);
        rows.into_iter().filter(Row::is_known).collect()
    }

    fn latencies(&self) -> impl Iterator<Item = Row> {
        let [a, b] = self.reports.each_ref().map(|report| report.latency_us);
        let named = a.or(b).map(|quantiles| quantiles.named()).into_iter().flatten();
        named.enumerate().map(move |(place, (name, _))| {
            let of = |quantiles: super::report::Quantiles| quantiles.named()[place].1 as f64;
            let values = [a.map(of), b.map(of)];
            Row { name: format!("{name} ms"), values, show: |micros| ms(micros as u64) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            plan::{Mix, Plan},
            report::{Quantiles, Server},
        },
        *,
    };

    fn pair() -> Pair {
        let quantiles = Quantiles { p50: 100, p90: 1, p99: 1, p999: 1, p9999: 1, max: 4_000 };
        let server = Server {
            cpu_cores: 1.5,
            cpu_us_per_call: Some(10.0),
            cpu_us_per_operation: Some(10.0),
            rss_bytes_max: 64 << 20,
        };
        let a = Report {
            calls_per_second: 1_000.0,
            latency_us: Some(quantiles),
            server: Some(server),
            ..Report::empty(Plan::small(Mix::Ack))
        };
        let b = Report {
            calls_per_second: 1_500.0,
            latency_us: Some(Quantiles { p50: 50, max: 10_000, ..quantiles }),
            server: None,
            ..a.clone()
        };
        Pair { reports: [a, b], files: ["a.json".into(), "b.json".into()] }
    }

    #[test]
    fn figures_stand_side_by_side_with_their_ratio() {
        let text = pair().text();
        for line in [
            "A  a.json: ack, closed loop",
            "calls a second        1000    1500  1.500",
            "p50 ms               0.100   0.050  0.500",
            "max ms               4.000  10.000  2.500",
            "errors                   0       0",
            "server us/call       10.00",
            "server MiB            64.0",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line}:\n{text}");
        }
        assert!(!text.contains("generator"), "nothing is known of it: {text}");
    }

    #[test]
    fn json_has_the_same_figures() {
        let json = pair().json();
        assert_eq!(json["figures"]["max ms"]["ratio"], 2.5);
        assert_eq!(json["figures"]["server cores"]["b"], Value::Null);
        assert_eq!(json["a"]["mix"], "ack");
    }
}
