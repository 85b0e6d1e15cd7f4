/// The known word that is most like `word`, where one is like it at all.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let best = known.iter().map(|it| (distance(&word, it), *it)).min()?;
    // A third of the letters wrong is another word.
    (best.0 <= best.1.len().max(word.len()) / 3).then_some(best.1)
}

/// Letters to insert, remove, exchange or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // What an empty word is away from another: its letters. The rest is filled in.
    let first: Vec<usize> = (0..=b.len()).collect();
    let mut rows = vec![first; a.len() + 1];
    for (at, row) in rows.iter_mut().enumerate() {
        row[0] = at;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_another_word_none() {
        let known = ["seed", "data_dir", "listen", "api_listen", "gossip_listen"];
        let table = [
            ("sed", Some("seed")),
            ("seeds", Some("seed")),
            ("esed", Some("seed")),
            ("data-dir", Some("data_dir")),
            ("DataDir", Some("data_dir")),
            ("listne", Some("listen")),
            ("api_lisen", Some("api_listen")),
            ("replicas", None),
            ("", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
