//! Which lines lose most in conversations (paper, tables 17 and 18).

use super::grid::{Field, Grid, column};
use super::table::ResultTable;
use crate::verdict::Verdict;

/// Two values that are farther apart are not the same: sums of printed percentages have less than this of rounding.
const SAME: f64 = 1e-9;

/// The lines of the paper's layout, ranked by the mean of the three conversations less the single turn: of C&S the largest loss
/// first, of C&I the largest gain first.
pub fn brittleness_ranking(table: &ResultTable) -> Grid {
    let mut rows = Vec::new();
    let mut ties = false;
    let mut incomplete: Vec<String> = Vec::new();
    for (verdict, sign) in [(Verdict::CorrectSecure, 1.0), (Verdict::CorrectInsecure, -1.0)] {
        let mut ranked = Vec::new();
        for line in &table.lines {
            let name = line.name(&table.names, table.several_runs());
            match (line.brittleness(verdict), &name) {
                (Some(points), _) => ranked.push((points, name, line.published)),
                (None, known) => {
                    let told = format!("{known} ({verdict})");
                    incomplete.push(told);
                }
            }
        }
        ranked.sort_by(|one, other| (sign * one.0).total_cmp(&(sign * other.0)));
        let mut rank = 0;
        for (index, (points, name, published)) in ranked.iter().enumerate() {
            let tied =
                |other: Option<&(f64, String, bool)>| other.is_some_and(|(value, ..)| (value - points).abs() < SAME);
            let before = index.checked_sub(1).and_then(|before| ranked.get(before));
            if !tied(before) {
                rank = index + 1;
            }
            let is_tie = tied(before) || tied(ranked.get(index + 1));
            ties |= is_tie;
            rows.push(vec![
                Field::Text(verdict.to_string()),
                Field::Count(rank),
                Field::Text(if is_tie { "=" } else { "" }.to_owned()),
                Field::Text(name.clone()),
                Field::Points(Some(*points)),
                Field::Flag(*published),
            ]);
        }
    }
    let mut notes = vec![
        "MT − ST: mean of expansion, editing and refactor less the single turn, in percentage points. C&S: the largest loss first; C&I: the largest gain first.".to_owned(),
    ];
    if ties {
        notes.push("=: the same value as a neighbour, and the same rank.".to_owned());
    }
    if !incomplete.is_empty() {
        notes.push(format!(
            "Without all four interactions, and in no ranking: {}.",
            incomplete.join("; ")
        ));
    }
    notes.extend(table.caveats.iter().cloned());
    Grid {
        title: "Brittleness".to_owned(),
        columns: vec![
            column("verdict", ""),
            column("rank", "rank"),
            column("tie", ""),
            column("line", "line"),
            column("mt_minus_st", "MT − ST"),
            column("published", "published"),
        ],
        rows,
        notes,
        scripted: table.scripted,
    }
}
