//! What a run came to, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    play::Played,
    truth::Held,
    verify::{Difference, Findings},
};
use crate::cli::{latency::Latency, show::render_lines, table::Table};

/// The quantiles shown, and their names.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// `None` where it was only to be verified.
    pub played: Option<Played>,
    /// `None` where there was no truth, or the run stopped before.
    pub findings: Option<Findings>,
    /// Calls tried again.
    pub retries: u64,
    /// What failed for good.
    pub errors: u64,
}

impl Report {
    /// Whether everything was done and is as it should be.
    pub fn is_clean(&self) -> bool {
        self.errors == 0 && self.findings.as_ref().is_none_or(Findings::is_clean)
    }

    /// One JSON object. Ids are strings, as most readers of JSON would round them.
    pub fn json(&self) -> Value {
        json!({
            "ok": self.is_clean(),
            "retries": self.retries,
            "errors": self.errors,
            "played": self.played.as_ref().map(played_json),
            "verified": self.findings.as_ref().map(findings_json),
            "latency_us": self.latencies().into_iter()
                .map(|(name, latency)| (name.to_owned(), latency_json(latency)))
                .collect::<serde_json::Map<_, _>>(),
        })
    }

    /// Some lines and a table.
    pub fn text(&self) -> String {
        let mut lines = self.played.as_ref().map_or_else(Vec::new, played_lines);
        lines.push(("retries", self.retries.to_string()));
        lines.push(("errors", self.errors.to_string()));
        let mut parts = vec![render_lines(&lines)];
        if !self.latencies().is_empty() {
            parts.push(latency_table(&self.latencies()));
        }
        parts.extend(self.findings.as_ref().map(findings_text));
        parts.join("\n\n")
    }

    /// By the name of the call; those that were never made are left out.
    fn latencies(&self) -> Vec<(&'static str, &Latency)> {
        let played = self.played.iter().map(|played| &played.tally);
        let played = played
            .flat_map(|tally| [("Ack", &tally.ack_latency), ("FanOut", &tally.fan_out_latency)]);
        let listed = self.findings.iter().map(|findings| ("List", &findings.latency));
        played.chain(listed).filter(|(_, latency)| latency.count() > 0).collect()
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { (count as f64 / seconds).round() } else { 0.0 }
}

fn played_json(played: &Played) -> Value {
    let tally = &played.tally;
    json!({
        "messages": played.messages,
        "operations": tally.operations(),
        "acks": tally.acks,
        "fan_outs": tally.fan_outs,
        "mentions": tally.mentions,
        "duplicates": tally.duplicates,
        "seconds": played.elapsed.as_secs_f64(),
        "operations_per_second": per_second(tally.operations(), played.elapsed),
    })
}

fn played_lines(played: &Played) -> Vec<(&'static str, String)> {
    let tally = &played.tally;
    let rate = per_second(tally.operations(), played.elapsed);
    let seconds = played.elapsed.as_secs_f64();
    vec![
        ("messages", played.messages.to_string()),
        ("acks", tally.acks.to_string()),
        ("fan-outs", format!("{} with {} mentions", tally.fan_outs, tally.mentions)),
        ("duplicates", tally.duplicates.to_string()),
        ("played", format!("{} in {seconds:.3} s, {rate} a second", tally.operations())),
    ]
}

fn latency_json(latency: &Latency) -> Value {
    let mut json = json!({ "count": latency.count() });
    for (name, quantile) in QUANTILES {
        json[name] = latency.quantile_us(quantile).into();
    }
    json
}

fn latency_table(latencies: &[(&str, &Latency)]) -> String {
    let mut table = Table::new(&["MILLISECONDS", "CALLS", "P50", "P90", "P99", "P99.9", "MAX"]);
    for (name, latency) in latencies {
        let mut row = vec![(*name).to_owned(), latency.count().to_string()];
        row.extend(
            QUANTILES.map(|(_, quantile)| {
                format!("{:.3}", latency.quantile_us(quantile) as f64 / 1_000.0)
            }),
        );
        table.push(row);
    }
    table.render()
}

fn findings_json(findings: &Findings) -> Value {
    json!({
        "ok": findings.is_clean(),
        "users": findings.users,
        "rows": findings.expected,
        "equal": findings.equal,
        "differ": findings.differ,
        "missing": findings.missing,
        "unexpected": findings.unexpected,
        "seconds": findings.elapsed.as_secs_f64(),
        "examples": findings.examples.iter().map(difference_json).collect::<Vec<_>>(),
    })
}

fn difference_json(difference: &Difference) -> Value {
    let held = |held: &Held| {
        json!({
            "last_acked_id": held.last_acked_id.to_string(),
            "mention_count": held.mention_count,
        })
    };
    json!({
        "user_id": difference.user.to_string(),
        "channel_id": difference.channel.to_string(),
        "type": difference.kind,
        "expected": difference.expected.as_ref().map(held),
        "found": difference.found.as_ref().map(held),
    })
}

fn findings_text(findings: &Findings) -> String {
    let outcome = if findings.is_clean() { "verified" } else { "NOT VERIFIED" };
    let Findings { expected, equal, differ, missing, unexpected, users, .. } = findings;
    let seconds = findings.elapsed.as_secs_f64();
    let mut text = format!(
        "{outcome}: {equal} of {expected} rows equal, {differ} differ, {missing} missing, \
         {unexpected} unexpected; {users} users in {seconds:.3} s"
    );
    for difference in &findings.examples {
        text.extend(["\n  ", &difference_text(difference)]);
    }
    text
}

fn difference_text(difference: &Difference) -> String {
    let held = |held: Option<Held>| match held {
        Some(held) => format!("acked {} mentions {}", held.last_acked_id, held.mention_count),
        None => "no row".to_owned(),
    };
    format!(
        "user {} channel {} type {}: expected {}, found {}",
        difference.user,
        difference.channel,
        difference.kind,
        held(difference.expected),
        held(difference.found)
    )
}

#[cfg(test)]
mod tests {
    use super::{super::tally::Tally, *};

    fn report(findings: Findings, errors: u64) -> Report {
        let mut tally = Tally { acks: 3, fan_outs: 2, ..Tally::default() };
        tally.ack_latency.record(Duration::from_micros(1_500));
        let played = Played { messages: 3, tally, elapsed: Duration::from_secs(2) };
        Report { played: Some(played), findings: Some(findings), retries: 1, errors }
    }

    fn missing_row() -> Findings {
        let expected = Some(Held { last_acked_id: u64::MAX, mention_count: 4 });
        let difference = Difference { user: 1, channel: 2, kind: 1, expected, found: None };
        Findings { expected: 1, missing: 1, examples: [difference].into(), ..Findings::default() }
    }

    #[test]
    fn a_clean_run_says_so() {
        let report = report(Findings { expected: 5, equal: 5, ..Findings::default() }, 0);
        assert!(report.is_clean());
        let text = report.text();
        assert!(text.contains("5 in 2.000 s, 3 a second"), "{text}");
        assert!(text.contains("verified: 5 of 5 rows equal"), "{text}");
        assert!(text.contains("Ack               1  1.500"), "{text}");
        assert!(!text.contains("FanOut"), "no fan-out was timed: {text}");
    }

    #[test]
    fn errors_and_differences_are_not_clean() {
        assert!(!report(Findings::default(), 1).is_clean());
        let report = report(missing_row(), 0);
        assert!(!report.is_clean());
        assert!(report.text().contains(
            "user 1 channel 2 type 1: expected acked 18446744073709551615 mentions 4, found no row"
        ));
    }

    #[test]
    fn json_has_the_counts_latencies_and_examples() {
        let json = report(missing_row(), 0).json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["played"]["operations"], 5);
        assert_eq!(json["latency_us"]["Ack"]["count"], 1);
        assert_eq!(json["latency_us"]["Ack"]["p99.9"], 1_500);
        assert_eq!(json["verified"]["missing"], 1);
        let example = &json["verified"]["examples"][0];
        assert_eq!(example["expected"]["last_acked_id"], "18446744073709551615");
        assert_eq!(example["found"], Value::Null);
    }
}
