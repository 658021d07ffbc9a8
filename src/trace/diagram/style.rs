//! How a picture looks: the style sheet, light and dark.

use std::fmt::Write;

/// How many colours there are before they repeat.
pub(super) const COLOURS: usize = 12;
/// Hues, far apart for neighbours.
const HUES: [u32; COLOURS] = [212, 22, 145, 322, 48, 265, 180, 350, 95, 235, 8, 298];

const SHEET: &str = "\
svg{background:var(--paper);font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\
text{fill:var(--ink);font-size:12px}\
.title{font-size:17px;font-weight:600}.sub,.axis,.time,.key{fill:var(--soft)}\
.axis,.time{font-size:9.5px;font-variant-numeric:tabular-nums}\
.time,.stamp{paint-order:stroke;stroke:var(--paper);stroke-width:3.5px;stroke-linejoin:round}\
.before{text-anchor:end}.stamp{font-size:10.5px;font-weight:600;font-variant-numeric:tabular-nums}\
.name{font-size:12.5px;font-weight:600;text-anchor:middle;fill:var(--c)}\
.quiet{font-style:italic;fill:var(--soft)}\
.guide{stroke:var(--line);stroke-width:1}.life{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}\
.off{stroke:var(--paper);stroke-width:8}.off2{stroke:var(--c);stroke-width:2;stroke-dasharray:1 6;stroke-linecap:round}\
.band{stroke:var(--c);stroke-width:7;opacity:.22}.cap{stroke:var(--c);stroke-width:2.5;stroke-linecap:round}\
.send{stroke:var(--c);stroke-width:1.8;fill:none}.tell{stroke:var(--c);stroke-width:1.1;opacity:.5;fill:none}\
.back{stroke:var(--soft);stroke-width:1;stroke-dasharray:1.5 3;fill:none}\
.head{fill:var(--c)}.tellhead{fill:var(--c);opacity:.65}.backhead{fill:var(--soft)}\
.dot{fill:var(--c);stroke:var(--paper);stroke-width:1.2}.ring{fill:var(--paper);stroke:var(--c);stroke-width:1.6}\
.pill{fill:var(--c);opacity:.13}.bad{stroke:var(--bad);stroke-width:2.4;stroke-linecap:round;fill:none}\
.cross{stroke:var(--mark);stroke-width:1.6;fill:none}.crosstext{fill:var(--mark);font-size:10.5px;font-weight:600}\
.epoch{stroke:var(--soft);stroke-width:1;stroke-dasharray:8 4}";

/// The style sheet.
pub(super) fn sheet() -> String {
    let light = "--paper:#fff;--ink:#1c1f24;--soft:#6b7280;--line:#eef0f3;--bad:#c81e1e;--mark:#b4470b";
    let dark = "--paper:#14171c;--ink:#e7e9ee;--soft:#98a1b0;--line:#22272f;--bad:#ff7b72;--mark:#ffb454";
    let mut sheet = format!(":root{{{light}}}{SHEET}.c{{--c:var(--ink)}}");
    colours(&mut sheet, "62%,40%");
    // A String takes whatever is written to it.
    let _ = write!(sheet, "@media(prefers-color-scheme:dark){{:root{{{dark}}}");
    colours(&mut sheet, "72%,68%");
    sheet.push('}');
    sheet
}

fn colours(sheet: &mut String, shade: &str) {
    for (index, hue) in HUES.iter().enumerate() {
        let _ = write!(sheet, ".c{index}{{--c:hsl({hue},{shade})}}");
    }
}
