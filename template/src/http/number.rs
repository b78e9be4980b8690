//! Numbers as headers have them.

use std::sync::LazyLock;

use axum::http::HeaderValue;

/// What is said in nearly all answers is not written anew for each.
pub(super) fn header(number: u64) -> HeaderValue {
    static USUAL: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        (0..1000)
            .map(|number| &*number.to_string().leak())
            .collect()
    });
    let usual = usize::try_from(number).ok();
    let usual = usual.and_then(|number| USUAL.get(number));
    usual.map_or_else(
        || HeaderValue::from(number),
        |text| HeaderValue::from_static(text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_with_its_own_digits() {
        for number in [0, 1, 9, 10, 999, 1000, u64::MAX] {
            assert_eq!(header(number), number.to_string());
        }
    }
}
