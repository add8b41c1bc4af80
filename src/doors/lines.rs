//! Lines of a text by the position of their bytes, found without counting them anew each time.

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// Those of `text`.
    pub fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(ends.map(|(position, _)| position + 1)).collect())
    }

    /// The line that byte `position` is in, counted from 1.
    pub fn at(&self, position: usize) -> usize {
        self.0.partition_point(|begin| *begin <= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_line_feed() {
        let lines = Lines::of("a\n\nbc\n");
        let found: Vec<_> = (0..8).map(|position| lines.at(position)).collect();
        assert_eq!(found, [1, 1, 2, 3, 3, 3, 4, 4]);
        assert_eq!(Lines::of("").at(0), 1);
    }
}
