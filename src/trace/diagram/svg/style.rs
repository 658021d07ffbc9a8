//! How a picture looks: the style sheet, light and dark.
//!
//! No CSS variables: SVG-to-PDF converters ignore them. A participant's color is `currentColor`; all other colors are
//! listed twice, for a light and for a dark background.

use std::fmt::Write;

/// How many colors there are before they repeat.
pub(super) const COLORS: usize = 12;
/// Hues, with neighbors far apart, and by how many percent each must be darkened to be legible on white.
const HUES: [(u32, u32); COLORS] = [
    (212, 0),
    (22, 1),
    (145, 8),
    (322, 0),
    (48, 9),
    (265, 0),
    (180, 9),
    (350, 0),
    (95, 8),
    (235, 0),
    (8, 1),
    (298, 2),
];

// No `system-ui`: on a machine with few fonts it may be monospaced, and too wide for the layout.
const SHAPES: &str = "\
svg{font-family:-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\
text{font-size:12px}.title{font-size:17px;font-weight:600}\
.axis,.time{font-size:9.5px;font-variant-numeric:tabular-nums}\
.time{paint-order:stroke;stroke-width:3.5px;stroke-linejoin:round}\
.nolog{font-size:9.5px;text-anchor:middle}.before,.axis{text-anchor:end}.stamp{font-weight:600;font-variant-numeric:tabular-nums}\
.inbox{font-size:10px;font-weight:700;text-anchor:middle;font-variant-numeric:tabular-nums}\
.name{font-size:12.5px;font-weight:600;text-anchor:middle;fill:currentColor}\
.said{font-weight:600;fill:currentColor}.quiet{font-style:italic}\
.guide{stroke-width:1}.life,.gone{stroke-width:1;stroke-dasharray:2 4}\
.off{stroke-width:8}.off2{stroke:currentColor;stroke-width:2;stroke-dasharray:1 6;stroke-linecap:round;fill:none}\
.band{stroke:currentColor;stroke-width:7;stroke-opacity:.2}.cap{stroke:currentColor;stroke-width:2.5;stroke-linecap:round}\
.send{stroke:currentColor;stroke-width:1.8;fill:none}.tell{stroke:currentColor;stroke-width:1.1;stroke-opacity:.45;fill:none}\
.back{stroke-width:1;stroke-dasharray:1.5 3;fill:none}\
.head{fill:currentColor}.tellhead{fill:currentColor;fill-opacity:.65}\
.dot{fill:currentColor;stroke-width:1.2}.box{fill:currentColor}.ring{stroke:currentColor;stroke-width:1.6}\
.pill{fill:currentColor;fill-opacity:.13}.bad{stroke-width:2.4;stroke-linecap:round;fill:none}\
.cross{stroke-width:1.6;fill:none}.crosstext{font-size:10.5px;font-weight:600}\
.epoch{stroke-width:1;stroke-dasharray:8 4}\
.fault{fill-opacity:.16}.faulttext{font-size:9px;paint-order:stroke;stroke-width:3px;stroke-linejoin:round}";

/// The colors on a light or on a dark background.
struct Theme {
    paper: &'static str,
    ink: &'static str,
    soft: &'static str,
    line: &'static str,
    bad: &'static str,
    mark: &'static str,
    /// Of participants' colors, in percent.
    saturation: u32,
    lightness: u32,
    /// Whether hues that look bright are made darker.
    darken: bool,
}

const LIGHT: Theme = Theme {
    paper: "#ffffff",
    ink: "#1c1f24",
    soft: "#626975",
    line: "#e9ebef",
    bad: "#c81e1e",
    mark: "#b4470b",
    saturation: 62,
    lightness: 40,
    darken: true,
};

const DARK: Theme = Theme {
    paper: "#14171c",
    ink: "#e7e9ee",
    soft: "#98a1b0",
    line: "#262b34",
    bad: "#ff7b72",
    mark: "#ffb454",
    saturation: 72,
    lightness: 68,
    darken: false,
};

pub(super) fn sheet() -> String {
    let mut sheet = String::from(SHAPES);
    LIGHT.write(&mut sheet);
    sheet.push_str("@media(prefers-color-scheme:dark){");
    DARK.write(&mut sheet);
    sheet.push('}');
    sheet
}

impl Theme {
    fn write(&self, sheet: &mut String) {
        let Self { paper, ink, soft, line, bad, mark, saturation, lightness, darken } = self;
        // Writing to a String cannot fail.
        let _ = write!(
            sheet,
            "svg{{background:{paper}}}.paper,.ring,.inbox{{fill:{paper}}}.dot,.time,.off{{stroke:{paper}}}\
             text,.stamp{{fill:{ink}}}.c{{color:{ink}}}\
             .sub,.axis,.time,.nolog,.key,.quiet,.backhead{{fill:{soft}}}.life,.back,.epoch{{stroke:{soft}}}\
             .guide,.gone{{stroke:{line}}}.bad{{stroke:{bad}}}.cross{{stroke:{mark}}}.crosstext,.fault,.faulttext{{fill:{mark}}}.faulttext{{stroke:{paper}}}\
             .name,.said{{fill:currentColor}}.inbox{{fill:{paper}}}"
        );
        for (index, (hue, darker)) in HUES.iter().enumerate() {
            let lightness = lightness - if *darken { *darker } else { 0 };
            let _ = write!(sheet, ".c{index}{{color:hsl({hue},{saturation}%,{lightness}%)}}");
        }
    }
}
