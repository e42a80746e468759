//! A row of text with styles, whose width is known.

use std::io::{self, Write};

use anstyle::Style;

/// Pieces of text, each with its style.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pieces: Vec<(Style, String)>,
    width: usize,
}

impl Row {
    /// An empty one.
    pub fn new() -> Row {
        Row::default()
    }

    /// One piece.
    pub fn of(style: Style, text: impl Into<String>) -> Row {
        Row::new().with(style, text)
    }

    /// One piece without a style.
    pub fn plain(text: impl Into<String>) -> Row {
        Row::of(Style::new(), text)
    }

    /// The same with a piece behind it.
    pub fn with(mut self, style: Style, text: impl Into<String>) -> Row {
        self.push(style, text);
        self
    }

    /// Puts a piece behind it.
    pub fn push(&mut self, style: Style, text: impl Into<String>) {
        let text = text.into();
        self.width += text.chars().count();
        self.pieces.push((style, text));
    }

    /// Puts another row behind it.
    pub fn append(&mut self, row: Row) {
        self.width += row.width;
        self.pieces.extend(row.pieces);
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Fills it up with blanks to a column.
    pub fn to_column(&mut self, column: usize) {
        if column > self.width {
            self.push(Style::new(), " ".repeat(column - self.width));
        }
    }

    /// The text without styles.
    #[cfg(test)]
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Prints it, without blanks at its end.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let last = self.pieces.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (at, (style, text)) in self.pieces.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let text = if Some(at) == last { text.trim_end() } else { text };
            write!(out, "{style}{text}{style:#}")?;
        }
        writeln!(out)
    }
}

/// Prints rows one behind the other, and on lines of their own where they do not fit.
pub fn flow(out: &mut dyn Write, indent: usize, gap: usize, width: usize, rows: Vec<Row>) -> io::Result<()> {
    // A little closer together they may all fit.
    let whole = |gap: usize| indent + rows.iter().map(|row| row.width() + gap).sum::<usize>() - gap;
    let closer = gap >= 2 && !rows.is_empty() && whole(gap) > width && whole(gap - 1) <= width;
    let gap = if closer { gap - 1 } else { gap };
    let mut line = Row::new();
    for row in rows {
        if line.width() > 0 && line.width() + gap + row.width() > width {
            line.print(out)?;
            line = Row::new();
        }
        let column = if line.width() == 0 { indent } else { line.width() + gap };
        line.to_column(column);
        line.append(row);
    }
    if line.width() > 0 { line.print(out) } else { Ok(()) }
}

/// Prints a text, word by word.
pub fn wrapped(
    out: &mut dyn Write,
    first: Row,
    indent: usize,
    width: usize,
    style: Style,
    text: &str,
) -> io::Result<()> {
    let mut line = first;
    let mut begins = true;
    for word in text.split(' ') {
        let len = word.chars().count();
        if !begins && line.width() + 1 + len > width {
            line.print(out)?;
            (line, begins) = (Row::new(), true);
        }
        if begins {
            line.to_column(indent);
        }
        line.push(style, if begins { word.to_owned() } else { format!(" {word}") });
        begins = false;
    }
    line.print(out)
}

/// A text that takes no more than so many columns; what is cut off at its end is replaced by an ellipsis.
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_does_not_fit_goes_on_below() {
        let rows = || ["aaaa", "bbbb", "cccc"].map(Row::plain).to_vec();
        assert_eq!(printed(|out| flow(out, 2, 2, 12, rows())), "  aaaa  bbbb\n  cccc\n");
        assert_eq!(printed(|out| flow(out, 2, 2, 16, rows())), "  aaaa bbbb cccc\n");
        let text = |out: &mut dyn Write| wrapped(out, Row::plain("! "), 2, 12, Style::new(), "one two three four");
        assert_eq!(printed(text), "! one two\n  three four\n");
    }

    #[test]
    fn a_text_that_is_cut_says_so() {
        assert_eq!([cut("abcd", 4), cut("abcde", 4), cut("ab", 0)], ["abcd", "abc…", ""]);
    }
}
