//! A chat trace: who wrote which message in which channel, and whom it mentions.

use std::path::Path;

use super::input::{InputError, Line, Lines, Meter};

/// The header of a trace.
const COLUMNS: [&str; 6] =
    ["ts_ms", "event", "user_id", "channel_id", "message_id", "mentioned_user_ids"];
/// Most users that one message may mention: what one `FanOut` takes.
const MENTIONS_MAX: usize = 10_000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its author.
    pub user: u64,
    /// Where it was written.
    pub channel: u64,
    /// Its id.
    pub message: u64,
    /// Whom it mentions, each once, in rising order; its author may be among them.
    pub mentioned: Box<[u64]>,
}

/// The messages of a trace, in the order of the file. Ends after the first error.
pub struct Trace {
    lines: Lines,
    left: u64,
}

impl Trace {
    /// Opens the trace at `path` and ends it after `limit` messages.
    pub fn open(path: &Path, limit: Option<u64>) -> Result<Self, InputError> {
        Ok(Self { lines: Lines::open(path, &COLUMNS)?, left: limit.unwrap_or(u64::MAX) })
    }

    /// How far the file is read.
    pub fn meter(&self) -> Meter {
        self.lines.meter()
    }

    fn read(&mut self) -> Result<Option<Message>, InputError> {
        self.lines.next_line()?.map(|line| parse(&line)).transpose()
    }
}

impl Iterator for Trace {
    type Item = Result<Message, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let message = self.read().transpose();
        if !matches!(message, Some(Ok(_))) {
            self.left = 0;
        }
        message
    }
}

fn parse(line: &Line<'_>) -> Result<Message, InputError> {
    line.number::<u64>(0)?;
    if line.field(1) != b"message" {
        let event = line.field(1).escape_ascii();
        return Err(line.error(format!("field 2: the event \"{event}\" is not known")));
    }
    let user = line.id(2)?;
    let channel = line.id(3)?;
    Ok(Message { user, channel, message: line.id(4)?, mentioned: mentioned(line)? })
}

fn mentioned(line: &Line<'_>) -> Result<Box<[u64]>, InputError> {
    let text = line.field(5);
    if text.is_empty() {
        return Ok(Box::default());
    }
    let ids = text.split(|byte| *byte == b' ').map(|id| line.parse_id(5, id));
    let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MENTIONS_MAX {
        return Err(line.error(format!("more than {MENTIONS_MAX} mentions")));
    }
    Ok(ids.into())
}

#[cfg(test)]
mod tests {
    use super::{super::input::tests::in_every_packing, *};

    const HEADER: &str = "ts_ms,event,user_id,channel_id,message_id,mentioned_user_ids\n";

    fn read(body: &str, limit: Option<u64>) -> Vec<Result<Message, String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.csv");
        std::fs::write(&path, format!("{HEADER}{body}")).unwrap();
        let trace = Trace::open(&path, limit).unwrap();
        trace.map(|message| message.map_err(|error| error.to_string())).collect()
    }

    fn message(user: u64, channel: u64, message: u64, mentioned: &[u64]) -> Message {
        Message { user, channel, message, mentioned: mentioned.into() }
    }

    #[test]
    fn every_packing_reads_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("{HEADER}1,message,2,3,4,\n5,message,6,7,8,9 2\n");
        for path in in_every_packing(directory.path(), &text) {
            let trace = Trace::open(&path, None).unwrap();
            let messages = trace.collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(messages, [message(2, 3, 4, &[]), message(6, 7, 8, &[2, 9])]);
        }
    }

    #[test]
    fn whoever_is_mentioned_twice_is_mentioned_once() {
        assert_eq!(read("1,message,2,3,4,9 2 9\n", None), [Ok(message(2, 3, 4, &[2, 9]))]);
    }

    #[test]
    fn the_limit_counts_messages() {
        let body = "1,message,2,3,4,\n1,message,2,3,5,\n1,message,2,3,6,\n";
        assert_eq!(read(body, Some(2)).len(), 2);
        assert_eq!(read(body, Some(0)).len(), 0);
        assert_eq!(read(body, Some(9)).len(), 3);
    }

    #[test]
    fn a_bad_line_ends_the_trace_with_its_number() {
        for bad in [
            "x,message,2,3,4,",
            "1,edit,2,3,4,",
            "1,message,0,3,4,",
            "1,message,2,,4,",
            "1,message,2,3,4,5  6",
            "1,message,2,3,4,0",
            "1,message,2,3,4",
        ] {
            let messages = read(&format!("1,message,2,3,4,\n{bad}\n1,message,2,3,4,\n"), None);
            assert_eq!(messages.len(), 2, "{bad}");
            assert!(messages[1].as_ref().unwrap_err().contains("t.csv:3: "), "{messages:?}");
        }
    }
}
