//! The plots: throughput against callers, how latencies are distributed, and growth.

use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::{Entry, Report};
use crate::gateway::{PACED, Setup};
use crate::growth::size;
use crate::load::Side;
use crate::measure::{Case, Failure, real};
use crate::targets::ceiling;

/// Width and height, in pixels.
const EXTENT: (u32, u32) = (1_160, 480);
/// The part of the width that the names of the lines have, beside the plot.
const NAMES: u32 = 330;
/// The height of a name.
const NAME: usize = 22;
const FONT: &str = "sans-serif";

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What stands around the lines.
struct Frame<'a> {
    file: &'a Path,
    title: &'a str,
    x: &'a str,
    y: &'a str,
}

/// Writes all plots for which there is something in the report.
///
/// # Errors
/// A file cannot be written.
pub fn write_plots(directory: &Path, report: &Report) -> Result<(), Failure> {
    throughput(&directory.join("throughput.svg"), report)?;
    distribution(&directory.join("latency.svg"), report)?;
    gateway(&directory.join("gateway.svg"), report)?;
    growth(&directory.join("growth.svg"), report)
}

/// Transfers in a second from more and more callers, by everybody who makes transfers one by one.
fn throughput(file: &Path, report: &Report) -> Result<(), Failure> {
    let mut lines: Vec<Line> = Vec::new();
    for entry in report.entries().iter().filter(|entry| entry.unit == "transfers" && entry.case.part != "lag")
    {
        let Case { part, name, callers } = &entry.case;
        let name = format!("{part}: {name}");
        let point = (real(*callers as u64), entry.median());
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    }
    // Calls of many transfers at once have few callers; they are in the table.
    lines.retain(|line| line.points.iter().any(|(callers, _)| *callers >= 16.0));
    let Some(highest) = highest(&lines) else { return Ok(()) };
    let ceiling = report.entry(&ceiling()).map(|entry| entry.median() / 3.0);
    if let Some(ceiling) = ceiling {
        let name = "a third of the ceiling's rows".to_owned();
        lines.push(Line { name, points: vec![(1.0, ceiling), (1_024.0, ceiling)] });
    }
    let top = highest.max(ceiling.unwrap_or_default()) * 1.1;
    let frame = Frame { file, title: "Transfers per second", x: "callers", y: "transfers/s" };
    draw(&frame, (1.0..1_024.0).log_scale().base(2.0), 0.0..top, &lines)
}

/// Which part of the operations took how long.
fn distribution(file: &Path, report: &Report) -> Result<(), Failure> {
    let chosen = |entry: &&Entry| {
        let Case { part, name, callers } = &entry.case;
        let transfers = entry.unit == "transfers" && *callers == 64 && *part != "lag";
        transfers || (*part == "lag" && name.ends_with("two thirds of the load"))
    };
    let lines: Vec<Line> = report
        .entries()
        .iter()
        .filter(chosen)
        .map(|entry| {
            let name = format!("{}: {}", entry.case.part, entry.case.name);
            Line { name, points: distributed(entry, 37) }
        })
        .collect();
    let Some(highest) = highest(&lines) else { return Ok(()) };
    let frame = Frame {
        file,
        title: "How long it takes, from 64 callers; and lag",
        x: "one in so many takes longer",
        y: "milliseconds",
    };
    draw(&frame, (2.0..10_000.0).log_scale(), (0.05..highest * 1.5).log_scale(), &lines)
}

/// From the median on, each step a tenth of the rest: 2, 10, 100, ... of which one is slower.
fn distributed(entry: &Entry, steps: i32) -> Vec<(f64, f64)> {
    let rest = |step: i32| 2.0 * 10_f64.powf(f64::from(step) / 10.0);
    let step = |step| Some((rest(step), entry.quantile(1.0 - 1.0 / rest(step))?.max(0.05)));
    (0..=steps).filter_map(step).collect()
}

/// Calls of a model by one caller after another, and at a fixed load: directly, and through the gateway.
fn gateway(file: &Path, report: &Report) -> Result<(), Failure> {
    let chosen = Setup::all().filter(|setup| setup.paced || (setup.think_ms == 0 && setup.connections == 1));
    let sides = chosen.flat_map(|setup| [Side::Direct, Side::Gateway].map(|side| (setup, side)));
    let mut lines = Vec::new();
    for (setup, side) in sides {
        for entry in [false, true].into_iter().filter_map(|first| report.entry(&setup.case(side, first))) {
            lines.push(Line { name: entry.case.name.clone(), points: distributed(entry, 27) });
        }
    }
    let Some(highest) = highest(&lines) else { return Ok(()) };
    let title = format!("How long calls of a model take: from one connection, and from {PACED} at half load");
    let (x, y) = ("one in so many takes longer", "milliseconds");
    let frame = Frame { file, title: &title, x, y };
    draw(&frame, (2.0..1_000.0).log_scale(), (0.05..highest * 1.5).log_scale(), &lines)
}

/// What things cost in larger and larger ledgers.
fn growth(file: &Path, report: &Report) -> Result<(), Failure> {
    const SIZES: [u64; 5] = [1_000, 50_000, 100_000, 1_000_000, 10_000_000];
    let lines: Vec<Line> = ["command", "balance", "page of wallets", "page of transactions"]
        .into_iter()
        .map(|what| {
            let point = |wallets: u64| {
                let case = Case::new("growth", format!("{what}, {} wallets", size(wallets)), 1);
                Some((real(wallets), report.entry(&case)?.quantile(0.5)?))
            };
            Line { name: what.to_owned(), points: SIZES.into_iter().filter_map(point).collect() }
        })
        .collect();
    let Some(highest) = highest(&lines) else { return Ok(()) };
    let frame =
        Frame { file, title: "Cost by the size of the ledger, one caller", x: "wallets", y: "median, ms" };
    let largest = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(10_000.0, f64::max);
    draw(&frame, (1_000.0..largest).log_scale(), 0.0..highest * 1.1, &lines)
}

fn highest(lines: &[Line]) -> Option<f64> {
    lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).max_by(f64::total_cmp)
}

/// Draws the lines with their points, and their names.
fn draw<X, Y>(frame: &Frame<'_>, x: X, y: Y, lines: &[Line]) -> Result<(), Failure>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let root = SVGBackend::new(frame.file, EXTENT).into_drawing_area();
    root.fill(&WHITE)?;
    let (plot, names) = root.split_horizontally(EXTENT.0 - NAMES);
    let mut chart = ChartBuilder::on(&plot)
        .caption(frame.title, (FONT, 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(frame.x)
        .y_desc(frame.y)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .label_style((FONT, 13))
        .max_light_lines(0)
        .draw()?;
    for (line, color) in lines.iter().zip(colors()) {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
        if line.points.len() < 10 {
            chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
    }
    for (line, (color, top)) in lines.iter().zip(colors().zip((50..).step_by(NAME))) {
        names.draw(&PathElement::new([(0, top), (18, top)], color.stroke_width(3)))?;
        names.draw(&Text::new(line.name.as_str(), (26, top - 6), (FONT, 12)))?;
    }
    root.present()?;
    Ok(())
}

fn colors() -> impl Iterator<Item = RGBAColor> {
    (0..).map(|index| Palette99::pick(index).mix(1.0))
}

/// A number without digits that say nothing.
fn short(number: f64) -> String {
    if number.abs() >= 10.0 { format!("{number:.0}") } else { format!("{number}") }
}
