//! Assets that another host hands out.

use crate::cli::process::Place;

#[test]
fn a_host_that_hands_out_assets_is_in_pages_and_allowed_by_them() {
    let place = Place::new();
    let cdn = "https://cdn.example.com";
    let variables = [
        ("APP__ASSETS__PUBLIC_URL", "https://cdn.example.com/"),
        ("APP_ENV", "test"),
    ];
    let service = place.serve_with(&variables);
    let page = service.get("/");
    let address = format!("{cdn}/assets/");
    for line in page.body.lines().filter(|line| line.contains("/assets/")) {
        assert!(line.contains(&address), "{line}");
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'self' https://cdn.example.com;"),
        "{policy}"
    );
    let links = page.body.split('"').find_map(|part| part.strip_prefix(cdn));
    let asset = service.get(links.expect("an asset"));
    assert_eq!(asset.status, 200);
    assert_eq!(asset.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        asset.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_eq!(
        page.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
}

#[test]
fn a_host_that_is_none_is_refused() {
    let place = Place::new();
    let wrong = [("APP__ASSETS__PUBLIC_URL", "cdn.example.com'; script-src *")];
    let finished = place.run_with(&["config"], &wrong);
    assert_eq!(
        finished.problems(),
        [
            "assets.public_url must be like https://example.com (environment APP__ASSETS__PUBLIC_URL)"
        ]
    );
}
