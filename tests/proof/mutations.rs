//! The proof of the proof: each marker and path of the template, broken, must be noticed.

use anyhow::Result;
use xtask::mutate;

#[test]
fn every_broken_marker_and_path_is_noticed() -> Result<()> {
    let outcome = mutate::try_all()?;
    assert!(!outcome.caught.is_empty(), "nothing was broken");
    assert!(
        outcome.survived.is_empty(),
        "\n{}",
        outcome.survived.join("\n")
    );
    Ok(())
}
