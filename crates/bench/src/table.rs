//! Text in columns, and numbers as people read them.

use std::fmt::Write;

/// A number with its thousands apart; `-` for none.
pub fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let plain = format!("{value:.digits$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0
            && digit.is_ascii_digit()
            && (whole.len() - index).is_multiple_of(3)
            && !grouped.ends_with('-')
        {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Columns as wide as their widest cell; numbers to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let numeric = rows.get(1).is_some_and(|row| is_number(&row[column]));
            let padding = " ".repeat(width - cell.chars().count());
            let _ = match numeric {
                true => write!(line, "{padding}{cell}  "),
                false => write!(line, "{cell}{padding}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_columns_aligned() {
        assert_eq!(number(Some(1_234_567.0), 0), "1,234,567");
        assert_eq!(number(Some(123.456), 2), "123.46");
        assert_eq!(number(Some(-1234.5), 1), "-1,234.5");
        assert_eq!(number(None, 2), "-");
        let rows = [["name", "n"], ["µ", "100"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "name    n\nµ     100\n");
    }
}
