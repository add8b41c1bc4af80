//! Puts together what the threads measured: window by window, and all in all.

use std::collections::BTreeMap;

use super::{
    meter::Sample,
    period::Period,
    plan::Plan,
    report::{Generator, Quantiles, Report, Server, Window},
    slice::Slice,
    worker::Remainder,
};
use crate::cli::latency::Latency;

/// What has come in so far.
#[derive(Debug)]
pub struct Collector {
    threads: usize,
    /// Windows that not all threads have ended yet, with how many have. Threads end theirs at the
    /// same moments, so that there are hardly ever more than two.
    open: BTreeMap<usize, (usize, Slice)>,
    /// The windows that all have ended, or that nothing more comes for.
    closed: BTreeMap<usize, Closed>,
    whole: Slice,
    unsent: u64,
    lag: Latency,
}

/// What is kept of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Calls answered in it.
    pub calls: u64,
    /// Operations done in it.
    pub operations: u64,
    /// Operations that failed in it.
    pub errors: u64,
    /// Of its calls.
    pub latency_us: Option<Quantiles>,
}

impl Closed {
    fn of(slice: &Slice) -> Self {
        Self {
            calls: slice.calls,
            operations: slice.operations,
            errors: slice.errors.sum(),
            latency_us: Quantiles::of(&slice.latency),
        }
    }
}

impl Collector {
    /// Expects the slices of so many threads.
    pub fn new(threads: usize) -> Self {
        let (open, closed, whole, unsent, lag) = Default::default();
        Self { threads, open, closed, whole, unsent, lag }
    }

    /// Takes a slice in; if its window is over with it, what came of that.
    pub fn take(&mut self, slice: &Slice) -> Option<&Closed> {
        self.whole.absorb(slice);
        let (threads, open) = self.open.entry(slice.window).or_default();
        *threads += 1;
        open.absorb(slice);
        if *threads < self.threads {
            return None;
        }
        let (_, slice_of_all) = self.open.remove(&slice.window)?;
        self.closed.insert(slice.window, Closed::of(&slice_of_all));
        self.closed.get(&slice.window)
    }

    /// Takes in what a thread says at its end.
    pub fn take_remainder(&mut self, remainder: &Remainder) {
        self.unsent += remainder.unsent;
        self.lag.absorb(&remainder.lag);
    }

    /// All of it. Of the samples there is one from the beginning of each window, and one from the
    /// end of the last.
    pub fn report(mut self, plan: &Plan, period: &Period, samples: &[Sample]) -> Report {
        for (window, (_, slice)) in std::mem::take(&mut self.open) {
            self.closed.insert(window, Closed::of(&slice));
        }
        let seconds = period.measured().as_secs_f64();
        let whole = &self.whole;
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Report {
            seconds,
            calls: whole.calls,
            operations: whole.operations,
            late_calls: whole.late_calls,
            calls_per_second_offered: plan.rate,
            calls_per_second: per_second(whole.calls - whole.late_calls),
            operations_per_second: per_second(whole.operations - whole.late_operations),
            unsent_calls: self.unsent,
            latency_us: Quantiles::of(&whole.latency),
            service_us: plan.rate.and_then(|_| Quantiles::of(&whole.service)),
            lag_us: Quantiles::of(&self.lag),
            generator: generator(samples),
            server: server(samples, whole),
            windows: self.windows(period, samples),
            errors: self.whole.errors.into_kinds(),
            ..Report::empty(plan.clone())
        }
    }

    fn windows(&self, period: &Period, samples: &[Sample]) -> Vec<Window> {
        let window = |index: usize| {
            let (begin, end) = (period.window_begin(index), period.window_begin(index + 1));
            let closed = self.closed.get(&index);
            let sampled = samples.get(index).zip(samples.get(index + 1));
            Window {
                at_seconds: (begin - period.measured_from).as_secs_f64(),
                seconds: (end - begin).as_secs_f64(),
                calls: closed.map_or(0, |closed| closed.calls),
                operations: closed.map_or(0, |closed| closed.operations),
                errors: closed.map_or(0, |closed| closed.errors),
                latency_us: closed.and_then(|closed| closed.latency_us),
                server_cpu_cores: sampled.and_then(|(before, after)| after.server_cores(before)),
                server_rss_bytes: sampled
                    .and_then(|(_, after)| after.server.map(|usage| usage.rss_bytes)),
            }
        };
        (0..period.windows()).map(window).collect()
    }
}

fn generator(samples: &[Sample]) -> Option<Generator> {
    let cpu_cores = samples.last()?.own_cores(samples.first()?)?;
    Some(Generator { cpu_cores })
}

fn server(samples: &[Sample], whole: &Slice) -> Option<Server> {
    let (first, last) = (samples.first()?, samples.last()?);
    let cpu_us = (last.server?.cpu_seconds - first.server?.cpu_seconds) * 1e6;
    let each = |count: u64| (count > 0).then(|| cpu_us / count as f64);
    Some(Server {
        cpu_cores: last.server_cores(first)?,
        cpu_us_per_call: each(whole.calls),
        cpu_us_per_operation: each(whole.operations),
        rss_bytes_max: samples
            .iter()
            .filter_map(|sample| sample.server)
            .map(|u| u.rss_bytes)
            .max()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{
        super::{meter::Usage, plan::Mix},
        *,
    };

    fn slice(window: usize, micros: &[u64]) -> Slice {
        let mut slice = Slice { window, ..Slice::default() };
        for micros in micros {
            slice.latency.record(Duration::from_micros(*micros));
            slice.calls += 1;
            slice.operations += 10;
        }
        slice
    }

    fn plan() -> Plan {
        Plan { threads: 2, duration_seconds: 2.5, rate: Some(3.0), ..Plan::small(Mix::Ack) }
    }

    fn samples(period: &Period) -> Vec<Sample> {
        let sample = |index: usize| {
            let used = |cores: f64| {
                let cpu_seconds = cores * index as f64;
                Some(Usage { cpu_seconds, rss_bytes: 100 - index as u64 })
            };
            let at = period.measured_from + Duration::from_secs(index as u64);
            Sample { at, own: used(0.5), server: used(0.25) }
        };
        (0..=3).map(sample).collect()
    }

    #[test]
    fn a_window_closes_when_all_threads_have_ended_it() {
        let mut collector = Collector::new(2);
        assert_eq!(collector.take(&slice(0, &[100])), None);
        assert_eq!(collector.take(&slice(1, &[])), None);
        let closed = collector.take(&slice(0, &[200, 300])).unwrap();
        assert_eq!((closed.calls, closed.operations), (3, 30));
        assert_eq!(closed.latency_us.unwrap().p50, 200);
        assert_eq!(collector.take(&slice(1, &[])).unwrap().latency_us, None);
    }

    #[test]
    fn the_report_has_the_whole_and_every_window() {
        let plan = plan();
        let period = Period::new(&plan, Instant::now());
        let mut collector = Collector::new(2);
        for (window, micros) in [(0, &[100][..]), (0, &[300]), (1, &[200, 200]), (2, &[900])] {
            collector.take(&slice(window, micros));
        }
        let mut late = slice(2, &[2_000]);
        (late.late_calls, late.late_operations) = (1, 10);
        late.errors.count("ABORTED", 4);
        collector.take(&late);
        collector.take_remainder(&Remainder { unsent: 7, lag: Latency::default() });
        let report = collector.report(&plan, &period, &samples(&period));
        assert_eq!((report.calls, report.operations, report.late_calls), (6, 60, 1));
        assert_eq!((report.seconds, report.calls_per_second), (2.5, 2.0));
        assert_eq!((report.failed(), report.unsent_calls), (4, 7));
        assert_eq!(report.latency_us.unwrap().max, 2_000);
        assert_eq!(report.generator.unwrap().cpu_cores, 0.5);
        let server = report.server.unwrap();
        assert_eq!((server.cpu_cores, server.rss_bytes_max), (0.25, 100));
        assert_eq!(server.cpu_us_per_call, Some(125_000.0));
        let calls: Vec<_> = report.windows.iter().map(|window| window.calls).collect();
        assert_eq!(calls, [2, 2, 2]);
        let last = &report.windows[2];
        assert_eq!((last.at_seconds, last.seconds, last.errors), (2.0, 0.5, 4));
        assert_eq!((last.server_cpu_cores, last.server_rss_bytes), (Some(0.25), Some(97)));
    }

    #[test]
    fn a_run_that_was_ended_at_once_has_no_windows() {
        let plan = plan();
        let period = Period::new(&plan, Instant::now());
        period.cut(period.begin);
        let report = Collector::new(2).report(&plan, &period, &[]);
        assert_eq!((report.seconds, report.calls_per_second), (0.0, 0.0));
        assert!(report.windows.is_empty() && report.latency_us.is_none());
    }
}
