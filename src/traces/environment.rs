//! What the standard variables `OTEL_*` ask for. What is not understood is complained of and left
//! as if it were not there: no trace is worth a server that does not start.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderName, HeaderValue, Uri};

use super::sampling::Sampling;

const ENDPOINT: &str = "ENDPOINT";
const NUMBERS: RangeInclusive<u64> = 1..=1 << 20;
/// An hour.
const TIMES_MS: RangeInclusive<u64> = 1..=3_600_000;

/// Where traces go, which, and how many may wait.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// With its scheme.
    pub endpoint: String,
    pub tls: Option<TlsFiles>,
    /// How long sending a batch may take.
    pub export_timeout: Duration,
    pub sampling: Sampling,
    /// Whether `traceparent` is read.
    pub reads_parents: bool,
    pub queue_spans: usize,
    pub batch_spans: usize,
    /// How long a span waits at most for others to go with.
    pub delay: Duration,
}

/// Whom to take for the collector and who to be for it: names of files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub authority: String,
    /// Certificate and key.
    pub identity: Option<(String, String)>,
}

/// What is wrong with a variable. Never has the value of one that may be secret.
pub(super) type Complaint = String;

impl Settings {
    /// `None` where traces are not wanted, and where they cannot be had; only then, and where they
    /// are wanted, is there anything to complain of.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Option<Self>, Vec<Complaint>) {
        let mut reader = Reader { variable, complaints: Vec::new() };
        let settings = reader.settings();
        (settings, reader.complaints)
    }
}

struct Reader<F> {
    variable: F,
    complaints: Vec<Complaint>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn settings(&mut self) -> Option<Settings> {
        let endpoint = self.of_exporter(ENDPOINT)?;
        if !self.is_wanted() {
            return None;
        }
        let (endpoint, is_encrypted) = self.endpoint(endpoint)?;
        self.check_protocol()?;
        let tls = if is_encrypted { Some(self.tls(&endpoint)?) } else { None };
        self.check_rest();
        let queue_spans = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 2_048, NUMBERS);
        let batch_spans = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, NUMBERS);
        let timeout_name = self.name_of_exporter("TIMEOUT");
        Some(Settings {
            endpoint,
            tls,
            export_timeout: Duration::from_millis(self.number(&timeout_name, 10_000, TIMES_MS)),
            sampling: self.sampling(),
            reads_parents: self.reads_parents(),
            queue_spans: queue_spans as usize,
            batch_spans: batch_spans.min(queue_spans) as usize,
            delay: Duration::from_millis(self.number("OTEL_BSP_SCHEDULE_DELAY", 5_000, TIMES_MS)),
        })
    }

    /// An empty variable is as good as none.
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The variable of traces, or else that of every signal.
    fn name_of_exporter(&self, rest: &str) -> String {
        let own = format!("OTEL_EXPORTER_OTLP_TRACES_{rest}");
        if self.text(&own).is_some() { own } else { format!("OTEL_EXPORTER_OTLP_{rest}") }
    }

    fn of_exporter(&self, rest: &str) -> Option<String> {
        self.text(&self.name_of_exporter(rest))
    }

    fn complain(&mut self, name: &str, words: &str) {
        self.complaints.push(format!("{name}: {words}"));
    }

    fn is_wanted(&mut self) -> bool {
        const DISABLED: &str = "OTEL_SDK_DISABLED";
        const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
        match self.text(DISABLED) {
            Some(text) if text.eq_ignore_ascii_case("true") => return false,
            Some(text) if !text.eq_ignore_ascii_case("false") => {
                self.complain(DISABLED, "neither true nor false; taken for false");
            }
            _ => {}
        }
        match self.text(EXPORTER).as_deref() {
            None | Some("otlp") => true,
            Some("none") => false,
            Some(other) => {
                self.complain(EXPORTER, &format!("{other:?} is neither otlp nor none; no traces"));
                false
            }
        }
    }

    /// With its scheme, and whether that is of an encrypted connection.
    fn endpoint(&mut self, text: String) -> Option<(String, bool)> {
        let insecure = self.of_exporter("INSECURE");
        let is_insecure = insecure.is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let text = match (text.contains("://"), is_insecure) {
            (true, _) => text,
            (false, true) => format!("http://{text}"),
            (false, false) => format!("https://{text}"),
        };
        let uri: Option<Uri> = text.parse().ok();
        let scheme = uri.as_ref().filter(|uri| uri.host().is_some()).and_then(Uri::scheme_str);
        match scheme {
            Some("http") => Some((text, false)),
            Some("https") => Some((text, true)),
            _ => {
                let name = self.name_of_exporter(ENDPOINT);
                self.complain(&name, "not http://HOST:PORT or https://HOST:PORT; no traces");
                None
            }
        }
    }

    fn check_protocol(&mut self) -> Option<()> {
        let name = self.name_of_exporter("PROTOCOL");
        let protocol = self.text(&name).filter(|protocol| protocol != "grpc");
        let Some(protocol) = protocol else { return Some(()) };
        self.complain(&name, &format!("{protocol:?} is not built in, grpc is; no traces"));
        None
    }

    fn tls(&mut self, endpoint: &str) -> Option<TlsFiles> {
        let Some(authority) = self.of_exporter("CERTIFICATE") else {
            let words =
                format!("{} needs OTEL_EXPORTER_OTLP_CERTIFICATE; no traces", shown(endpoint));
            self.complain(&self.name_of_exporter(ENDPOINT), &words);
            return None;
        };
        let certificate = self.of_exporter("CLIENT_CERTIFICATE");
        let key = self.of_exporter("CLIENT_KEY");
        if certificate.is_some() != key.is_some() {
            let words = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY";
            self.complain(words, "one without the other; neither is shown");
        }
        Some(TlsFiles { authority, identity: certificate.zip(key) })
    }

    fn sampling(&mut self) -> Sampling {
        const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
        const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(name) = self.text(SAMPLER) else { return Sampling::DEFAULT };
        let mut share = 1.0;
        if name.ends_with("traceidratio")
            && let Some(text) = self.text(SHARE)
        {
            match text.parse() {
                Ok(number) if (0.0..=1.0).contains(&number) => share = number,
                _ => self.complain(SHARE, &format!("{text:?} is no number from 0 to 1; 1 is used")),
            }
        }
        Sampling::of(&name, share).unwrap_or_else(|| {
            let used = Sampling::DEFAULT;
            self.complain(SAMPLER, &format!("{name:?} is not supported; {used} is used"));
            used
        })
    }

    fn reads_parents(&mut self) -> bool {
        const PROPAGATORS: &str = "OTEL_PROPAGATORS";
        let Some(list) = self.text(PROPAGATORS) else { return true };
        let mut reads = false;
        for name in list.split(',').map(str::trim) {
            match name {
                "tracecontext" => reads = true,
                // Nothing here is told what is in baggage.
                "baggage" | "none" => {}
                _ => self.complain(PROPAGATORS, &format!("{name:?} is not supported")),
            }
        }
        reads
    }

    fn number(&mut self, name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.text(name) else { return default };
        if let Some(number) = text.parse().ok().filter(|number| range.contains(number)) {
            return number;
        }
        let (min, max) = range.into_inner();
        self.complain(
            name,
            &format!("{text:?} is no number from {min} to {max}; {default} is used"),
        );
        default
    }

    /// What is left to libraries, which say nothing of what they leave out.
    fn check_rest(&mut self) {
        let compression = self.name_of_exporter("COMPRESSION");
        if let Some(text) = self.text(&compression).filter(|text| text != "none") {
            self.complain(&compression, &format!("{text:?} is not built in; sent as it is"));
        }
        if self.text("OTEL_BSP_EXPORT_TIMEOUT").is_some() {
            let words = "not supported; OTEL_EXPORTER_OTLP_TIMEOUT bounds the sending of a batch";
            self.complain("OTEL_BSP_EXPORT_TIMEOUT", words);
        }
        self.check_pairs(&self.name_of_exporter("HEADERS"), |name, value| {
            name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok()
        });
        self.check_pairs("OTEL_RESOURCE_ATTRIBUTES", |_, _| true);
    }

    /// Of entries `NAME=VALUE`. They may be secret: it is told which, not what they are.
    fn check_pairs(&mut self, name: &str, is_good: impl Fn(&str, &str) -> bool) {
        let text = self.text(name).unwrap_or_default();
        for (index, entry) in text.split_terminator(',').enumerate() {
            let pair = entry.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            if !pair.is_some_and(|(name, value)| !name.is_empty() && is_good(name, value)) {
                self.complain(name, &format!("entry {} is no NAME=VALUE; left out", index + 1));
            }
        }
    }
}

/// An endpoint without what may be secret of it: the name and password before its host.
pub(super) fn shown(endpoint: &str) -> String {
    let Ok(uri) = endpoint.parse::<Uri>() else { return String::new() };
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    format!("{scheme}://{host}{port}")
}
