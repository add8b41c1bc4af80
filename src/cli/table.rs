//! Text in aligned columns.

/// Rows of text cells, each column as wide as its widest cell.
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    /// A table with this head.
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The first column to the left, all others to the right; no line end after the last row.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let lines: Vec<_> = self.rows.iter().map(|row| render_row(row, &widths)).collect();
        lines.join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(move |row| row.get(column)).map(String::len);
        (0..columns).map(|column| width(column).max().unwrap_or(0)).collect()
    }
}

fn render_row(row: &[String], widths: &[usize]) -> String {
    let mut cells = row.iter().zip(widths);
    let mut line = cells.next().map_or_else(String::new, |(cell, width)| format!("{cell:<width$}"));
    for (cell, width) in cells {
        line.extend([GAP, &format!("{cell:>width$}")]);
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        let mut table = Table::new(&["NAME", "COUNT", "NOTE"]);
        table.push(vec!["a".into(), "12345678".into(), String::new()]);
        table.push(vec!["longer".into(), "1".into(), "x".into()]);
        assert_eq!(
            table.render(),
            "NAME       COUNT  NOTE\na       12345678\nlonger         1     x"
        );
    }
}
