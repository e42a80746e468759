//! JSON by hand: numbers, strings, and a table of the strings that come again and again.

use std::collections::HashMap;
use std::fmt::Write;

/// Appends a string. No `<` is left in it, so that nothing in it can end the element that holds it or begin another.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' | '\u{7f}'..='\u{9f}' => {
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends numbers with commas between them.
pub fn numbers(out: &mut String, numbers: &[i128]) {
    for (at, number) in numbers.iter().enumerate() {
        _ = write!(out, "{}{number}", if at > 0 { "," } else { "" });
    }
}

/// Strings, each of which is written once and referred to by its place.
#[derive(Default)]
pub struct Strings {
    places: HashMap<String, usize>,
    list: Vec<String>,
}

impl Strings {
    /// Its place.
    pub fn place(&mut self, text: String) -> i128 {
        if let Some(place) = self.places.get(&text) {
            return *place as i128;
        }
        let place = self.list.len();
        self.list.push(text.clone());
        self.places.insert(text, place);
        place as i128
    }

    /// Appends the list.
    pub fn write(&self, out: &mut String) {
        list(out, self.list.iter().map(String::as_str));
    }
}

/// Appends a list of strings.
pub fn list<'a>(out: &mut String, texts: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, text);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_string_leaves_its_element() {
        let mut out = String::new();
        string(&mut out, "</script><!--\"\\\n\u{2028}&é\u{7f}");
        assert_eq!(out, r#""\u003c/script\u003e\u003c!--\"\\\u000a\u2028\u0026é\u007f""#);
    }

    #[test]
    fn a_string_is_written_once() {
        let mut strings = Strings::default();
        assert_eq!(["a", "b", "a"].map(|text| strings.place(text.into())), [0, 1, 0]);
        let mut out = String::new();
        strings.write(&mut out);
        assert_eq!(out, r#"["a","b"]"#);
    }
}
