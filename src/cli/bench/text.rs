//! A report for people.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanCount;

use super::{
    collector::Closed,
    report::{Quantiles, Report},
};
use crate::cli::{show::render_lines, table::Table};

/// Some lines and a table.
pub fn report(report: &Report) -> String {
    let mut parts = vec![report.plan.title(), render_lines(&lines(report))];
    parts.extend(latency_table(report));
    parts.join("\n\n")
}

/// What came of the last window, on one line.
pub fn closed(closed: &Closed, seconds: f64) -> String {
    let rate = (closed.calls as f64 / seconds) as u64;
    let latency = closed.latency_us.map_or_else(String::new, |latency| {
        format!(
            "  p50 {} ms  p99 {} ms  max {} ms",
            ms(latency.p50),
            ms(latency.p99),
            ms(latency.max)
        )
    });
    let errors = match closed.errors {
        0 => String::new(),
        errors => format!("  {} errors", HumanCount(errors)),
    };
    format!("{}/s{latency}{errors}", HumanCount(rate))
}

/// Microseconds as milliseconds, to the microsecond.
pub fn ms(micros: u64) -> String {
    format!("{:.3}", micros as f64 / 1_000.0)
}

fn lines(report: &Report) -> Vec<(&str, String)> {
    let mut lines = vec![("measured", measured(report)), ("calls", calls(report))];
    if report.operations != report.calls {
        let rate = HumanCount(report.operations_per_second.round() as u64);
        lines.push(("operations", format!("{}, {rate} a second", HumanCount(report.operations))));
    }
    if report.plan.rate.is_some() {
        lines.push(("unsent", unsent(report)));
    }
    lines.push(("errors", errors(report)));
    if let Some(generator) = report.generator {
        let threads = report.plan.threads;
        lines.push(("generator", format!("{:.2} cores, {threads} threads", generator.cpu_cores)));
    }
    lines.extend(report.server.map(|server| ("server", server_line(&server))));
    lines
}

fn measured(report: &Report) -> String {
    let early = if report.interrupted { ", ended early" } else { "" };
    let warm_up = humantime::format_duration(Duration::from_secs_f64(report.plan.warm_up_seconds));
    format!("{:.1} s after {warm_up} of warm-up{early}", report.seconds)
}

fn calls(report: &Report) -> String {
    let rate = HumanCount(report.calls_per_second.round() as u64);
    let mut text = format!("{}, {rate} a second", HumanCount(report.calls));
    let Some(offered) = report.calls_per_second_offered else { return text };
    text += &format!(" of {} offered", HumanCount(offered.round() as u64));
    if report.late_calls > 0 {
        text += &format!("; {} of them after the end", HumanCount(report.late_calls));
    }
    text
}

fn unsent(report: &Report) -> String {
    match report.unsent_calls {
        0 => "0".to_owned(),
        unsent => format!(
            "{}: as many calls as --concurrency allows waited for the server",
            HumanCount(unsent)
        ),
    }
}

fn errors(report: &Report) -> String {
    let mut text = HumanCount(report.failed()).to_string();
    for (kind, count) in &report.errors {
        text += &format!("\n  {}  {kind}", HumanCount(*count));
    }
    text
}

fn server_line(server: &super::report::Server) -> String {
    let each = |us: Option<f64>, what: &str| us.map(|us| format!(", {us:.2} us {what}"));
    let call = each(server.cpu_us_per_call, "a call").unwrap_or_default();
    // Where a call is one operation that says it all.
    let several = server.cpu_us_per_operation != server.cpu_us_per_call;
    let operation = server.cpu_us_per_operation.filter(|_| several);
    let operation = each(operation, "an operation").unwrap_or_default();
    let rss = ByteSize(server.rss_bytes_max);
    format!("{:.2} cores{call}{operation}, {rss} at most", server.cpu_cores)
}

fn latency_table(report: &Report) -> Option<String> {
    let mut table = Table::new(&["MILLISECONDS", "P50", "P90", "P99", "P99.9", "P99.99", "MAX"]);
    table.push(row("latency", &report.latency_us?));
    if let Some(service) = report.service_us {
        table.push(row("once sent", &service));
    }
    if let Some(lag) = report.lag_us {
        table.push(row("sent late by", &lag));
    }
    Some(table.render())
}

fn row(name: &str, quantiles: &Quantiles) -> Vec<String> {
    let values = quantiles.named().map(|(_, micros)| ms(micros));
    [name.to_owned()].into_iter().chain(values).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{
            plan::{Mix, Plan},
            report::{Generator, Server},
        },
        *,
    };

    const QUANTILES: Quantiles =
        Quantiles { p50: 100, p90: 200, p99: 1_500, p999: 2_000, p9999: 3_000, max: 1_234_567 };

    #[test]
    fn everything_that_went_wrong_is_told() {
        let plan = Plan { rate: Some(5_000.0), ..Plan::small(Mix::Ack) };
        let report = Report {
            calls: 9_000,
            operations: 9_000,
            late_calls: 3,
            calls_per_second_offered: Some(5_000.0),
            calls_per_second: 4_500.4,
            unsent_calls: 1_234,
            interrupted: true,
            seconds: 2.0,
            errors: BTreeMap::from([("ABORTED".to_owned(), 2), ("unanswered".to_owned(), 5)]),
            latency_us: Some(QUANTILES),
            service_us: Some(QUANTILES),
            lag_us: Some(QUANTILES),
            generator: Some(Generator { cpu_cores: 0.5 }),
            server: Some(Server {
                cpu_cores: 1.25,
                cpu_us_per_call: Some(24.5),
                cpu_us_per_operation: Some(0.25),
                rss_bytes_max: 512 << 20,
            }),
            ..Report::empty(plan)
        };
        let text = super::report(&report);
        for part in [
            "ack, open loop at 5000/s",
            "2.0 s after 0s of warm-up, ended early",
            "9,000, 4,500 a second of 5,000 offered; 3 of them after the end",
            "1,234: as many calls",
            "errors     7\n  2  ABORTED\n  5  unanswered",
            "0.50 cores, 1 threads",
            "1.25 cores, 24.50 us a call, 0.25 us an operation, 512.0 MiB at most",
            "latency       0.100  0.200  1.500  2.000   3.000  1234.567",
            "once sent     0.100",
            "sent late by  0.100",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("operations"), "{text}");
    }

    #[test]
    fn the_last_window_is_told_on_one_line() {
        let window = Closed { calls: 5_000, operations: 5_000, errors: 0, latency_us: None };
        assert_eq!(closed(&window, 0.5), "10,000/s");
        let window = Closed { errors: 3, latency_us: Some(QUANTILES), ..window };
        let text = closed(&window, 1.0);
        assert_eq!(text, "5,000/s  p50 0.100 ms  p99 1.500 ms  max 1234.567 ms  3 errors");
    }
}
