//! A chart on paper: horizontal bars under each other, as SVG. The only file that
//! knows the drawing library.
//!
//! The paper is white in itself, because a picture on a web page can't learn whether
//! the page is light or dark. The library does not know how wide a text is, so texts
//! stand where no mark can be: names right-aligned before the bars, values in a column
//! behind them, a budget's words at the end of its group's first line.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::axis::{Axis, tick_label};
use super::chart::{Bar, Chart, Colour, Group, Scale};

const WIDTH: i32 = 800;
const MARGIN: i32 = 16;
/// Title and legend.
const HEAD: i32 = 62;
/// The axis's numbers and words, and the conditions.
const FOOT: i32 = 74;
/// Where the bars begin, and where the longest ends; the values stand beyond.
const LEFT: i32 = 150;
const RIGHT: i32 = 668;
const GROUP_TITLE: i32 = 24;
const GROUP_GAP: i32 = 10;
/// The room of one bar; with many of them in a group, less.
const ROW: i32 = 22;
const NARROW_ROW: i32 = 18;
const MANY_ROWS: usize = 4;

/// What fits before the bars, and at the foot.
const NAME_LENGTH: usize = 20;
const CONDITIONS_LENGTH: usize = 125;
/// What a group's title and its budget share, in characters of the widest usual font.
const GROUP_TITLE_LENGTH: usize = 110;

const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const PALE_INK: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// How strong the paler part of a bar is.
const PALE: f64 = 0.4;
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);

/// The colours that Okabe and Ito chose for all kinds of sight: grey for the floor,
/// blue for the gateway, the others for peers.
const FLOOR: RGBColor = RGBColor(0x99, 0x99, 0x99);
const GATEWAY: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const PEERS: [RGBColor; 6] = [
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xf0, 0xe4, 0x42),
];

type Paper<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;
type Drawn = Result<(), Failure>;

/// The chart with the `conditions` of its run under it.
pub(super) fn svg(chart: &Chart, conditions: &str) -> Result<String, Failure> {
    let mut svg = String::new();
    let height = HEAD + chart.groups.iter().map(group_height).sum::<i32>() + FOOT;
    {
        let size = (WIDTH as u32, height as u32);
        let paper = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paper.fill(&PAPER)?;
        write(&paper, chart.title, (MARGIN, 20), &bold(16.0, HPos::Left))?;
        let budget = chart.groups.iter().any(|group| group.budget.is_some());
        let dashed = if budget { " Dashed: the budget." } else { "" };
        let legend = format!("{}{dashed}", chart.legend);
        write(&paper, &legend, (MARGIN, 42), &text(12.0, PALE_INK, HPos::Left))?;
        let conditions = shortened(conditions, CONDITIONS_LENGTH);
        write(&paper, &conditions, (MARGIN, height - 14), &text(11.0, PALE_INK, HPos::Left))?;
        let axis = Axis::of(chart);
        draw_grid(&paper, chart, &axis, height - FOOT)?;
        let mut top = HEAD;
        for group in &chart.groups {
            draw_group(&paper, group, top, &axis)?;
            top += group_height(group);
        }
        paper.present()?;
    }
    Ok(svg)
}

fn row_height(group: &Group) -> i32 {
    if group.bars.len() > MANY_ROWS { NARROW_ROW } else { ROW }
}

fn group_height(group: &Group) -> i32 {
    GROUP_TITLE + group.bars.len() as i32 * row_height(group) + GROUP_GAP
}

/// Under the bars: a line for each of the axis's numbers.
fn draw_grid(paper: &Paper<'_>, chart: &Chart, axis: &Axis, bottom: i32) -> Drawn {
    for tick in &axis.ticks {
        let at = place(axis, *tick);
        paper.draw(&PathElement::new([(at, HEAD), (at, bottom)], GRID))?;
        write(paper, &tick_label(*tick), (at, bottom + 10), &text(12.0, PALE_INK, HPos::Center))?;
    }
    let words = match axis.scale {
        Scale::Linear => chart.axis.to_owned(),
        Scale::Logarithmic => format!("{} (logarithmic)", chart.axis),
    };
    write(paper, &words, ((LEFT + RIGHT) / 2, bottom + 28), &text(12.0, INK, HPos::Center))
}

/// Where a value lies, in pixels from the left.
fn place(axis: &Axis, value: f64) -> i32 {
    LEFT + (f64::from(RIGHT - LEFT) * axis.share(value)).round() as i32
}

fn draw_group(paper: &Paper<'_>, group: &Group, top: i32, axis: &Axis) -> Drawn {
    let (row, first) = (row_height(group), top + GROUP_TITLE);
    draw_title(paper, group, top + GROUP_TITLE / 2)?;
    for (index, bar) in group.bars.iter().enumerate() {
        draw_bar(paper, bar, first + index as i32 * row, row, axis)?;
    }
    let Some(budget) = &group.budget else { return Ok(()) };
    let (at, end) = (place(axis, budget.at), first + group.bars.len() as i32 * row);
    let line = [(at, first - 3), (at, end + 3)];
    paper.draw(&DashedPathElement::new(line, 5, 3, INK.stroke_width(2)))
}

fn draw_title(paper: &Paper<'_>, group: &Group, middle: i32) -> Drawn {
    let budget = group.budget.as_ref().map_or("", |budget| &budget.label);
    let room = GROUP_TITLE_LENGTH.saturating_sub(budget.chars().count());
    let title = shortened(&group.title, room);
    write(paper, &title, (MARGIN, middle), &bold(12.0, HPos::Left))?;
    write(paper, budget, (WIDTH - MARGIN, middle), &text(12.0, INK, HPos::Right))
}

fn draw_bar(paper: &Paper<'_>, bar: &Bar, top: i32, row: i32, axis: &Axis) -> Drawn {
    let (upper, lower, middle) = (top + 2, top + row - 2, top + row / 2);
    let (colour, end) = (colour(bar.colour), place(axis, bar.value));
    let style = match bar.colour {
        Colour::Gateway => bold(12.0, HPos::Right),
        Colour::Floor | Colour::Peer(_) => text(12.0, INK, HPos::Right),
    };
    write(paper, &shortened(&bar.name, NAME_LENGTH), (LEFT - 8, middle), &style)?;
    let part = |from, to, style: ShapeStyle| Rectangle::new([(from, upper), (to, lower)], style);
    if let Some(reach) = bar.reach {
        let reach = place(axis, reach).max(end);
        paper.draw(&part(end, reach, colour.mix(PALE).filled()))?;
    }
    paper.draw(&part(LEFT, end, colour.filled()))?;
    for dot in &bar.dots {
        let at = (place(axis, *dot), middle);
        paper.draw(&Circle::new(at, 4, PAPER.filled()))?;
        paper.draw(&Circle::new(at, 3, INK.filled()))?;
    }
    write(paper, &bar.label, (WIDTH - MARGIN, middle), &text(12.0, INK, HPos::Right))
}

fn colour(whose: Colour) -> RGBColor {
    match whose {
        Colour::Floor => FLOOR,
        Colour::Gateway => GATEWAY,
        Colour::Peer(index) => PEERS[index % PEERS.len()],
    }
}

fn write(paper: &Paper<'_>, words: &str, at: (i32, i32), style: &TextStyle<'_>) -> Drawn {
    // XML has no way to write these.
    let illegal = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    paper.draw_text(&words.replace(illegal, " "), style, at)
}

/// Text whose `side` lies at the place it is written to.
fn text(pixels: f64, colour: RGBColor, side: HPos) -> TextStyle<'static> {
    // The library divides by this number.
    let font = ("sans-serif", pixels * 1.24).into_font();
    font.color(&colour).pos(Pos::new(side, VPos::Center))
}

fn bold(pixels: f64, side: HPos) -> TextStyle<'static> {
    let TextStyle { font, color, pos, .. } = text(pixels, INK, side);
    TextStyle { font: font.style(FontStyle::Bold), color, pos }
}

fn shortened(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    let kept: String = words.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
