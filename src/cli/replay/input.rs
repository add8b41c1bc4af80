//! Files of comma-separated numbers, plain or compressed, read line by line. Whatever is wrong with
//! one is told with its name and line.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use csv::ByteRecord;
use flate2::read::MultiGzDecoder;

/// Why a trace or truth cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no such file, or it may not be read.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line, or the compression around it, is damaged.
    #[error("{}:{line}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1, in the file as it is when unpacked.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The thread that reads ended without a word.
    #[error("reading the trace was cut short: {0}")]
    CutShort(String),
}

impl InputError {
    /// Whether the file could not even be opened.
    pub fn is_unopened(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// How far a file is read.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    bytes_read: Arc<AtomicU64>,
    bytes: u64,
}

impl Meter {
    /// From 0, nothing, to 1, all of it. Reading runs ahead of the lines by a buffer or two.
    pub fn fraction(&self) -> f64 {
        if self.bytes == 0 {
            return 1.0;
        }
        // A count of bytes loses nothing that a progress bar could show.
        self.bytes_read.load(Ordering::Relaxed) as f64 / self.bytes as f64
    }
}

/// A reader that is counted.
struct Metered {
    file: File,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The lines of a file after its header.
pub struct Lines {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: ByteRecord,
    meter: Meter,
}

impl Lines {
    /// Opens a `.csv`, `.csv.gz` or `.csv.zst` whose first line names exactly `columns`.
    pub fn open(path: &Path, columns: &[&str]) -> Result<Self, InputError> {
        let unopened = |source| InputError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(unopened)?;
        let meter =
            Meter { bytes_read: Arc::default(), bytes: file.metadata().map_err(unopened)?.len() };
        let bytes = Metered { file, bytes_read: meter.bytes_read.clone() };
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .quoting(false)
            .from_reader(unpack(path, bytes).map_err(unopened)?);
        let mut lines = Self { path: path.to_owned(), reader, record: ByteRecord::new(), meter };
        lines.check_header(columns)?;
        Ok(lines)
    }

    /// How far the file is read.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The next line; `None` after the last.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, InputError> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => Ok(Some(Line { path: &self.path, record: &self.record })),
            Ok(false) => Ok(None),
            Err(error) => Err(self.damage(&error)),
        }
    }

    fn check_header(&mut self, columns: &[&str]) -> Result<(), InputError> {
        let named = self.next_line()?.is_some_and(|line| {
            line.record.iter().eq(columns.iter().map(|column| column.as_bytes()))
        });
        if named {
            return Ok(());
        }
        let what = format!("the first line must be \"{}\"", columns.join(","));
        Err(InputError::Malformed { path: self.path.clone(), line: 1, what })
    }

    fn damage(&self, error: &csv::Error) -> InputError {
        let (line, what) = match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => (
                pos.as_ref().map_or(0, csv::Position::line),
                format!("{len} fields where {expected_len} should be"),
            ),
            csv::ErrorKind::Io(source) => (self.reader.position().line(), source.to_string()),
            _ => (self.reader.position().line(), error.to_string()),
        };
        InputError::Malformed { path: self.path.clone(), line, what }
    }
}

/// Unpacks by the file's name. Files of several frames, as parallel compressors write them, are
/// read to their end.
fn unpack(path: &Path, bytes: Metered) -> io::Result<Box<dyn Read + Send>> {
    let bytes = BufReader::new(bytes);
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(bytes)),
        Some("zst") => Box::new(zstd::Decoder::with_buffer(bytes)?),
        _ => Box::new(bytes),
    })
}

/// One line, as fields.
pub struct Line<'a> {
    path: &'a Path,
    record: &'a ByteRecord,
}

impl<'a> Line<'a> {
    /// The text of a field; empty where there is none.
    pub fn field(&self, column: usize) -> &'a [u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// A field that is a decimal number of type `T`.
    pub fn number<T: FromStr>(&self, column: usize) -> Result<T, InputError> {
        self.parse(column, self.field(column))
    }

    /// A field that is an id: a number other than 0.
    pub fn id(&self, column: usize) -> Result<u64, InputError> {
        self.parse_id(column, self.field(column))
    }

    /// As [`Self::id`] for text that is part of a field.
    pub fn parse_id(&self, column: usize, text: &[u8]) -> Result<u64, InputError> {
        match self.parse(column, text)? {
            0 => Err(self.error(format!("field {}: an id must not be 0", column + 1))),
            id => Ok(id),
        }
    }

    /// An error about this line.
    pub fn error(&self, what: impl fmt::Display) -> InputError {
        InputError::Malformed {
            path: self.path.to_owned(),
            line: self.record.position().map_or(0, csv::Position::line),
            what: what.to_string(),
        }
    }

    fn parse<T: FromStr>(&self, column: usize, text: &[u8]) -> Result<T, InputError> {
        let digits = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            let text = text.escape_ascii();
            self.error(format!("field {}: \"{text}\" is not a number that fits", column + 1))
        })
    }
}

#[cfg(test)]
pub mod tests {
    use std::io::Write as _;

    use super::*;

    /// Writes `text` to files of all three kinds.
    pub fn in_every_packing(directory: &Path, text: &str) -> Vec<PathBuf> {
        let plain = directory.join("a.csv");
        std::fs::write(&plain, text).unwrap();
        let gz = directory.join("a.csv.gz");
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(&gz).unwrap(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
        let zst = directory.join("a.csv.zst");
        std::fs::write(&zst, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        vec![plain, gz, zst]
    }

    fn sum(path: &Path) -> Result<u64, InputError> {
        let mut lines = Lines::open(path, &["a", "b"])?;
        let mut sum = 0;
        while let Some(line) = lines.next_line()? {
            sum += line.number::<u64>(0)? * line.id(1)?;
        }
        Ok(sum)
    }

    #[test]
    fn every_packing_reads_the_same() {
        let directory = tempfile::tempdir().unwrap();
        for path in in_every_packing(directory.path(), "a,b\n1,2\n0,9\n3,4\n") {
            assert_eq!(sum(&path).unwrap(), 14, "{}", path.display());
        }
    }

    #[test]
    fn frames_after_the_first_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv.zst");
        let mut bytes = zstd::encode_all(&b"a,b\n1,2\n"[..], 1).unwrap();
        bytes.extend(zstd::encode_all(&b"3,4\n"[..], 1).unwrap());
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(sum(&path).unwrap(), 14);
    }

    #[test]
    fn a_bad_line_is_told_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        for (text, line) in [
            ("", 1),
            ("a,c\n1,2\n", 1),
            ("a,b\n1,2\nx,2\n", 3),
            ("a,b\n1,2\n1,0\n", 3),
            ("a,b\n1,2\n1\n", 3),
            ("a,b\n1,2,3\n", 2),
            ("a,b\n1,+2\n", 2),
            ("a,b\n1,-2\n", 2),
            ("a,b\n1,18446744073709551616\n", 2),
            ("a,b\n1,2\n\"3,4\n5,6\n", 3),
        ] {
            let path = directory.path().join("a.csv");
            std::fs::write(&path, text).unwrap();
            let error = sum(&path).unwrap_err();
            let place = format!("a.csv:{line}: ");
            assert!(error.to_string().contains(&place), "{text:?}: {error}");
            assert!(!error.is_unopened());
        }
    }

    #[test]
    fn a_torn_file_is_an_error_and_not_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("a,b\n{}", "1,2\n".repeat(10_000));
        for path in in_every_packing(directory.path(), &text).into_iter().skip(1) {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
            assert!(sum(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn an_absent_file_is_unopened() {
        assert!(sum(Path::new("/nowhere/a.csv")).unwrap_err().is_unopened());
    }

    #[test]
    fn the_meter_ends_at_one() {
        let directory = tempfile::tempdir().unwrap();
        for path in in_every_packing(directory.path(), "a,b\n1,2\n") {
            let mut lines = Lines::open(&path, &["a", "b"]).unwrap();
            while lines.next_line().unwrap().is_some() {}
            assert_eq!(lines.meter().fraction(), 1.0, "{}", path.display());
        }
    }
}
