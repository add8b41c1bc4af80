//! How the values of several rounds are told: the median, and from the least to the most.

pub fn show(what: &str, values: impl Iterator<Item = f64>) {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    println!("    {what}: {:.3} ({least:.3} to {most:.3})", values[values.len() / 2]);
}
