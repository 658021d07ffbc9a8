"""Compares the ratios (rows with the unit ×) of two runs of benches/run, for its option --compare. This compares two
documents that are already written:

    python3 benches/compare.py EARLIER LATER

Two runs agree if in each row that both have, the larger ratio exceeds the smaller one by at most 15 %. If they do not,
or have no row in common, the exit code is 1.
"""

import collections
import re
import sys

DIFFERENCE_MAX = 15  # In percent.

# One run: when it began, the commit that it measured, and its ratios by the names of their rows.
Run = collections.namedtuple("Run", "date commit ratios")
# One row of both runs. `percent` says by how much the larger ratio exceeds the smaller one.
Difference = collections.namedtuple("Difference", "what earlier later percent")


def read(path):
    """The run that a document describes."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        sys.exit(f"cannot read the run to compare: {error}")
    date, commit = re.search(r"^- Date: (.+? UTC)", text, re.MULTILINE), re.search(r", commit ([^;\n]*);", text)
    if not date or not commit:
        sys.exit(f"{path} was not written by benches/run")
    return Run(date.group(1), commit.group(1), ratios(text.splitlines()))


def ratios(lines):
    """The ratios in the lines of a table, without those that could not be measured."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {what: float(value.replace(",", "")) for what, value, unit, *_ in rows if unit == "×" and value != "–"}


def compare(earlier, later):
    """The rows that both have, in the later run's order."""
    rows = [(what, earlier[what], ratio) for what, ratio in later.items() if what in earlier]
    return [Difference(*row, (max(row[1:]) / min(row[1:]) - 1) * 100) for row in rows]


def greatest(differences):
    return max(differences, key=lambda difference: difference.percent)


def sentence(run, differences):
    """What the document says about an earlier run."""
    compared = f"- Compared with the run of {run.date} (commit {run.commit}):"
    if not differences:
        return f"{compared} no ratio was measured in both."
    most = greatest(differences)
    return (f"{compared} the {len(differences)} ratios of both differ\n"
            f"  by at most {most.percent:.1f} %, in \"{most.what}\".")


def show(run, differences):
    """Prints the differences from an earlier run. Returns the exit code."""
    print(f"compared with the run of {run.date} (commit {run.commit}), which has {len(run.ratios)} ratios:")
    for what, earlier, later, percent in differences:
        mark = "  too much" if percent > DIFFERENCE_MAX else ""
        print(f"  {what:75} {earlier:>7,.4g} ×  now {later:>7,.4g} × {percent:>6.1f} %{mark}")
    if not differences:
        print("no ratio was measured in both")
        return 1
    most = greatest(differences)
    print(f"the greatest of {len(differences)} differences is {most.percent:.1f} %, in: {most.what}")
    return 1 if most.percent > DIFFERENCE_MAX else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python3 benches/compare.py EARLIER LATER")
    before = read(sys.argv[1])
    sys.exit(show(before, compare(before.ratios, read(sys.argv[2]).ratios)))
