//! A picture in the words of SVG: the few shapes that a plot is made of.

use std::fmt::Write as _;

/// Names of fonts that every viewer has one of.
const FONT: &str = "Helvetica, Arial, sans-serif";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// As `#rrggbb`.
    pub colour: &'static str,
    /// In pixels.
    pub width: f64,
    /// Lengths of strokes and gaps; empty for a line without gaps.
    pub dashes: &'static str,
}

/// Where a text begins, or ends.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// To the right of its place.
    Start,
    /// Around its place.
    Middle,
    /// To the left of its place.
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Lettering {
    /// In pixels.
    pub size: u32,
    /// As `#rrggbb`.
    pub colour: &'static str,
    /// Which end is at its place.
    pub anchor: Anchor,
    /// Whether it stands out.
    pub bold: bool,
}

/// A picture under work.
#[derive(Debug)]
pub struct Svg(String);

impl Svg {
    /// White paper of so many pixels.
    pub fn new(width: u32, height: u32) -> Self {
        let mut svg = Self(String::new());
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FONT}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ));
        svg
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.path(&[from, to], stroke);
    }

    /// Points joined; one alone is a dot.
    pub fn path(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let Some((x, y)) = points.first() else { return };
        self.put(format_args!("<path d=\"M{x:.1} {y:.1}"));
        for (x, y) in points.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(points) {
            self.put(format_args!(" L{x:.1} {y:.1}"));
        }
        let Stroke { colour, width, dashes } = stroke;
        self.put(format_args!(
            "\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\""
        ));
        if !dashes.is_empty() {
            self.put(format_args!(" stroke-dasharray=\"{dashes}\""));
        }
        self.put(format_args!("/>\n"));
    }

    /// A filled area.
    pub fn area(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        let ((x, y), (width, height)) = (from, (to.0 - from.0, to.1 - from.1));
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\"/>\n"
        ));
    }

    /// Words.
    pub fn text(&mut self, (x, y): (f64, f64), lettering: Lettering, words: &str) {
        let Lettering { size, colour, anchor, bold } = lettering;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        let words = escaped(words);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" \
             text-anchor=\"{anchor}\"{weight}>{words}</text>\n"
        ));
    }

    /// The finished file.
    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn put(&mut self, words: std::fmt::Arguments<'_>) {
        // A String takes everything.
        self.0.write_fmt(words).ok();
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STROKE: Stroke = Stroke { colour: "#123456", width: 2.0, dashes: "" };

    #[test]
    fn words_cannot_break_out() {
        let mut svg = Svg::new(10, 10);
        let lettering = Lettering { size: 9, colour: "#000000", anchor: Anchor::End, bold: true };
        svg.text((1.0, 2.0), lettering, "<a> & b");
        let text = svg.finish();
        assert!(text.contains("&lt;a&gt; &amp; b</text>"), "{text}");
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}");
    }

    #[test]
    fn a_point_alone_is_a_dot_and_none_is_nothing() {
        let mut svg = Svg::new(10, 10);
        svg.path(&[(1.0, 2.0)], STROKE);
        svg.path(&[], STROKE);
        svg.path(&[(1.0, 2.0), (3.0, 4.0)], Stroke { dashes: "4 2", ..STROKE });
        let text = svg.finish();
        assert!(text.contains("d=\"M1.0 2.0 L1.0 2.0\""), "{text}");
        assert!(text.contains("d=\"M1.0 2.0 L3.0 4.0\""), "{text}");
        assert_eq!((text.matches("<path").count(), text.matches("4 2").count()), (2, 1));
    }
}
