//! The subcommand `users`, and who the tests of the binary write articles as.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};

use super::http;
use super::process::{PATIENCE, Place};

/// Signing in costs next to nothing.
pub const VARIABLES: [(&str, &str); 3] = [
    ("APP__AUTH__SECRET", "vT6mQ2xWk9Zr4LhN8sJd3FbY7cPg5AeU"),
    ("APP__AUTH__PASSWORD__MEMORY", "8KiB"),
    ("APP__AUTH__PASSWORD__ITERATIONS", "1"),
];

const EMAIL: &str = "writer@example.com";
const PASSWORD: &str = "correct horse battery staple";
const ADD: [&str; 4] = ["users", "add-admin", "--email", EMAIL];

/// Gets an account when there is something to write.
pub struct Writer {
    add: Mutex<Command>,
    header: Mutex<Option<String>>,
}

impl Writer {
    pub fn new(place: &Place, variables: &[(&str, &str)]) -> Self {
        Self {
            add: Mutex::new(place.command(&ADD, variables)),
            header: Mutex::new(None),
        }
    }

    /// The line that says who writes to the service at `address`.
    pub fn header(&self, address: SocketAddr) -> String {
        let mut header = self.header.lock().expect("no test has failed");
        header.get_or_insert_with(|| self.sign_in(address)).clone()
    }

    fn sign_in(&self, address: SocketAddr) -> String {
        let mut add = self.add.lock().expect("no test has failed");
        // Fails if an earlier start on the same database has added it.
        finish(&mut add, PASSWORD);
        let credentials = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let answer = http::send(address, "POST", "/api/v1/auth/login", &credentials);
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = &answer.json()["access_token"];
        format!(
            "authorization: Bearer {}\r\n",
            token.as_str().expect("a token")
        )
    }
}

/// Runs a command that reads `input`, and hands over its exit code, output and errors.
fn finish(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn an_administrator_is_added_once_and_can_sign_in_at_once() {
    let place = Place::new();
    let mut add = place.command(&ADD, &[]);
    let (code, stdout, _) = finish(&mut add, &format!("{PASSWORD}\n"));
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("administrator added: "), "{stdout}");
    let (code, _, stderr) = finish(&mut add, PASSWORD);
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "error: email has an account already\n");
    assert_eq!(
        place.serve().try_to_publish("By an administrator").status,
        201
    );
}

#[test]
fn an_administrator_with_a_bad_value_is_refused_in_a_sentence() {
    let place = Place::new();
    for (email, password, error) in [
        (
            "a@example.com",
            "",
            "the password is read from standard input, where there is none",
        ),
        (
            "a@example.com",
            "short",
            "the password must be 12 to 128 characters long",
        ),
        (
            "a@example.com",
            "password1234",
            "the password is too easy to guess",
        ),
        (
            "nobody",
            PASSWORD,
            "the e-mail address must be an e-mail address",
        ),
    ] {
        let mut add = place.command(&["users", "add-admin", "--email", email], &[]);
        let (code, _, stderr) = finish(&mut add, password);
        assert_eq!(
            (code, stderr.as_str()),
            (Some(1), format!("error: {error}\n").as_str())
        );
    }
}

#[test]
fn production_does_not_start_without_a_secret() {
    let place = Place::new();
    let mut serve = place.command(&["serve"], &[("APP_ENV", "production")]);
    serve.env_remove("APP__AUTH__SECRET");
    let finished = super::process::finish(&mut serve);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished
            .stderr
            .contains("error: auth.secret must be set in production"),
        "{}",
        finished.stderr
    );
    for (secret, rule) in [
        ("x7Kq2mZp9vLw4RtB", "must have at least 32 bytes"),
        (
            "changemechangemechangemechangeme",
            "is too easy to guess for production",
        ),
    ] {
        let variables = [("APP_ENV", "production"), ("APP__AUTH__SECRET", secret)];
        let refused = place.run_with(&["config"], &variables);
        assert!(
            refused.problems()[0].starts_with(&format!("auth.secret {rule}")),
            "{refused:?}"
        );
    }
    let known = "[\"changemechangemechangemechangeme\"]";
    let variables = [
        ("APP_ENV", "production"),
        ("APP__AUTH__PREVIOUS_SECRETS", known),
    ];
    let refused = place.run_with(&["config"], &variables);
    let rule = "auth.previous_secrets is too easy to guess";
    assert!(refused.problems()[0].starts_with(rule), "{refused:?}");
}

#[test]
fn production_sends_no_mail_that_others_can_read_on_its_way() {
    let place = Place::new();
    for (url, is_taken) in [
        ("smtp://user:password@mail.example.com:587", false),
        ("smtp://mail.example.com?tls=opportunistic", false),
        ("smtp://mail.example.com:587?tls=required", true),
        ("smtps://user:password@mail.example.com", true),
        ("smtp://127.0.0.1:25", true),
    ] {
        let variables = [("APP_ENV", "production"), ("APP__AUTH__MAIL__SMTP", url)];
        // It assembles the service and starts nothing.
        let routes = place.run_with(&["routes"], &variables);
        assert_eq!(routes.code == Some(0), is_taken, "{url}: {routes:?}");
        let rule = "auth.mail.smtp must be smtps://";
        assert_eq!(routes.stderr.contains(rule), !is_taken, "{routes:?}");
    }
}

#[test]
fn a_line_about_a_request_names_who_has_signed_in() {
    let place = Place::new();
    let service = place.serve_with(&[("APP__LOG__FORMAT", "json")]);
    let me = http::send_with(
        service.address(),
        "GET",
        "/api/v1/users/me",
        &service.headers(),
        "",
    );
    let id = me.json()["id"].as_str().expect("an id").to_owned();
    service.publish("Named");
    service.get("/api/v1/articles");
    let log = service.stop();
    let requests = log
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"] == "request");
    let mut seen = 0;
    for request in requests {
        let user = match (request["method"].as_str(), request["route"].as_str()) {
            (Some("GET"), Some("/api/v1/users/me")) | (Some("POST"), Some("/api/v1/articles")) => {
                &id
            }
            (Some("GET"), Some("/api/v1/articles")) => "",
            _ => continue,
        };
        assert_eq!(request["user"], user, "{request}");
        seen += 1;
    }
    assert_eq!(seen, 3, "{log:#?}");
}

#[test]
fn sessions_that_are_not_over_are_counted() {
    let place = Place::new();
    let service = place.serve();
    let writer = Writer::new(&place, &[]);
    writer.header(service.address());
    service.stop();
    // They are counted at the start and then from time to time.
    let service = place.serve();
    let deadline = Instant::now() + PATIENCE;
    let is_counted = || {
        let metrics = http::get(service.operator(), "/metrics");
        metrics.body.lines().any(|line| line == "active_sessions 1")
    };
    while !is_counted() {
        assert!(Instant::now() < deadline, "the session is not counted");
    }
}
