//! Charts: a panel for each figure, a bar for each peer, readable on light and on dark ground.

use std::fmt::Write;

use crate::report::{Column, digits};
use crate::statistics::Spread;

const WIDTH: usize = 760;
const COLUMNS: usize = 2;
const MARGIN: usize = 16;
const TITLE: usize = 28;
const ROW: usize = 20;
/// Where bars begin and end in a panel: names stand before, numbers behind.
const NAMES: usize = 64;
const NUMBERS: usize = 60;
const PANEL: usize = (WIDTH - (COLUMNS + 1) * MARGIN) / COLUMNS;

const STYLE: &str = "\
.ground{fill:#fff}text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}\
.number{fill:#57606a}.bar{fill:#8c959f}.module{fill:#0969da}.stock{fill:#bc4c00}.range{stroke:#24292f}\
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.number{fill:#9198a1}\
.bar{fill:#6e7681}.module{fill:#4493f8}.stock{fill:#db6d28}.range{stroke:#e6edf3}}";

pub fn chart(title: &str, columns: &[Column]) -> String {
    let columns: Vec<&Column> = columns
        .iter()
        .filter(|column| !column.cells.is_empty())
        .collect();
    let mut panels = String::new();
    let mut top = MARGIN;
    for row in columns.chunks(COLUMNS) {
        for (place, column) in row.iter().enumerate() {
            let left = MARGIN + place * (PANEL + MARGIN);
            let _ = write!(panels, "<g transform=\"translate({left} {top})\">");
            panels += &panel(column);
            panels += "</g>\n";
        }
        let rows = row.iter().map(|column| column.cells.len()).max();
        top += TITLE + rows.unwrap_or(0) * ROW + MARGIN;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" \
         height=\"{top}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{top}\"/>\n{panels}</svg>\n",
        escaped(title)
    )
}

fn panel(column: &Column) -> String {
    let longest = column.cells.iter().map(|(_, spread)| spread.most);
    let longest = longest.fold(0.0, f64::max);
    let mut text = format!(
        "<text class=\"title\" x=\"0\" y=\"14\">{}</text>\n",
        escaped(&column.title)
    );
    for (row, (name, spread)) in column.cells.iter().enumerate() {
        let top = TITLE + row * ROW;
        text += &bar(name, spread, longest, top);
    }
    text
}

/// As long as the median, with a line from the least to the most of the runs.
fn bar(name: &str, spread: &Spread, longest: f64, top: usize) -> String {
    let room = (PANEL - NAMES - NUMBERS) as f64;
    // A difference of two memories may be below nothing.
    let length = |value: f64| match longest > 0.0 {
        true => room * (value / longest).max(0.0),
        false => 0.0,
    };
    let [median, least, most] = [spread.median, spread.least, spread.most].map(length);
    let (class, left) = (escaped(name), NAMES as f64);
    let (baseline, middle) = (top + 13, top + 9);
    let digits = digits(spread.median);
    format!(
        "<text x=\"{:.1}\" y=\"{baseline}\" text-anchor=\"end\">{class}</text>\
         <rect class=\"bar {class}\" x=\"{left:.1}\" y=\"{}\" width=\"{median:.1}\" height=\"13\"/>\
         <path class=\"range\" d=\"M{:.1} {middle}H{:.1}\"/>\
         <text class=\"number\" x=\"{:.1}\" y=\"{baseline}\">{:.digits$}</text>\n",
        left - 6.0,
        top + 3,
        left + least,
        left + most,
        left + most.max(median) + 6.0,
        spread.median,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::chart;
    use crate::report::Column;
    use crate::statistics::Spread;

    fn column(title: &str, cells: &[(&'static str, f64)]) -> Column {
        let spread = |value: f64| Spread::of([value * 0.9, value, value * 1.1]).unwrap();
        Column {
            title: title.to_owned(),
            cells: cells
                .iter()
                .map(|(name, value)| (*name, spread(*value)))
                .collect(),
        }
    }

    fn widths(svg: &str) -> Vec<f64> {
        let bars = svg.split("<rect class=\"bar ").skip(1);
        let width = |bar: &str| {
            bar.split("width=\"")
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        };
        bars.map(|bar| width(bar).unwrap()).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let svg = chart(
            "a",
            &[column(
                "CPU",
                &[("module", 10.0), ("stock", 40.0), ("relay", -1.0)],
            )],
        );
        let [module, stock, relay] = widths(&svg)[..] else {
            panic!("{svg}")
        };
        assert!((stock / module - 4.0).abs() < 0.02, "{svg}");
        assert!(module > 30.0 && relay == 0.0, "{svg}");
        assert!(svg.contains(">10.00<") && svg.contains(">40.00<"));
    }

    #[test]
    fn panels_lie_side_by_side_and_nothing_sticks_out() {
        let one = column("a", &[("module", 1.0)]);
        let svg = chart(
            "<&>",
            &[one, column("b", &[("stock", 2.0)]), column("c", &[])],
        );
        assert!(svg.contains("<title>&lt;&amp;&gt;</title>"));
        assert_eq!(svg.matches("translate(").count(), 2);
        assert!(svg.contains("viewBox=\"0 0 760 80\""), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn nothing_is_no_bar() {
        assert_eq!(
            widths(&chart("a", &[column("b", &[("module", 0.0)])])),
            [0.0]
        );
    }
}
