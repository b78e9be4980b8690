//! The command line.{% capture body %}

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use app::app::App;
use app::domain::clock::Clock;
use app::http::{Listeners, healthcheck};
use app::infra::db::Database;
use app::platform::Platform;
use app::settings::{self, Secret, Settings};
use app::telemetry;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What sends a signal to a process and to its group, as `timeout` does, means one.
const ONE_SIGNAL: Duration = Duration::from_millis(250);

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Settings to use instead of config/local.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Apply the pending migrations
    Migrate {
        /// Only list the migrations and whether they are applied
        #[arg(long)]
        status: bool,
    },
    /// Add the sample data that is not there yet
    Seed, //~{% if features contains "auth" %}
    /// Add the users who let others in
    #[command(subcommand)]
    Users(app::features::auth::UsersCommand), //~{% endif %}
    /// Print the `OpenAPI` document
    Openapi,
    /// Print the settings in force and where each comes from
    Config,
    /// List the routes: method, path, handler
    Routes,
    /// Ask the running service for its health; exit 0 or 1
    Healthcheck,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = match settings::load(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.into()),
    };
    let result = match arguments.command.unwrap_or(Command::Serve) {
        Command::Config => say(loaded.report().trim_end()),
        command => run(&command, loaded.settings),
    };
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

/// A line for whoever has asked; who has heard enough (`| head`) may stop listening.
fn say(line: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("there is nowhere to write to"),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", one_line(error));
    ExitCode::FAILURE
}

/// The error and its causes; those that an error has already told are not told again.
fn one_line(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.as_str() {
            "" => cause,
            told if told.ends_with(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    })
}

#[tokio::main]
async fn run(command: &Command, settings: Settings) -> anyhow::Result<()> {
    match command {
        Command::Serve => Box::pin(serve(settings)).await,
        Command::Migrate { status: true } => print_migrations(&settings).await,
        Command::Migrate { status: false } => migrate(&settings).await,
        Command::Seed => seed(settings).await, //~{% if features contains "auth" %}
        Command::Users(command) => command.run(settings).await, //~{% endif %}
        Command::Openapi => print_document(settings),
        Command::Routes => print_routes(settings),
        Command::Healthcheck => healthcheck(&settings.server).await,
        Command::Config => unreachable!("answered before the runtime starts"),
    }
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let log = &settings.log; //~{% if features contains "otel" %}
    // First: the log tells which trace a line belongs to.
    telemetry::traces::init(&settings.otel, settings.environment)?; //~{% endif %}
    let _guard = telemetry::init_logs(log)?;
    telemetry::report_panics();
    // Before anything slow: a port that is taken is known at once.
    let listeners = Listeners::bind(&settings.server, &settings.operator).await?;
    let stop = stop_on_signal()?;
    let connecting = Platform::connect(settings, Clock::system());
    let Some(platform) = stop.run_until_cancelled(connecting).await else {
        tracing::info!("stopped before it served");
        return Ok(());
    };
    let mut platform = platform?;
    warn_if_exposed(&platform.settings);
    provide_token(&mut platform.settings);
    let app = App::new(platform)?;
    let shutdown = app.shutdown();
    tokio::spawn(async move {
        stop.cancelled().await;
        shutdown.cancel();
    });
    tracing::info!(
        public = listeners.public.to_string(),
        operator = listeners.operator.to_string(),
        version = telemetry::build_info().version,
        "serving"
    );
    app.run(listeners).await; //~{% if features contains "otel" %}
    telemetry::traces::close().await; //~{% endif %}
    tracing::info!("stopped");
    Ok(())
}

/// In development the service tells its causes, its token and what it mails.
fn warn_if_exposed(settings: &Settings) {
    if settings.environment.is_development() && !settings.server.host.is_loopback() {
        tracing::warn!(
            "others reach this service, which is set up for development; set APP_ENV=production"
        );
    }
}

/// Lets developers in without a setting.
fn provide_token(settings: &mut Settings) {
    let token = &mut settings.operator.token;
    if settings.environment.is_development() && token.is_none() {
        let token = token.insert(Secret::random());
        tracing::info!(token = token.expose(), "operator.token, for this run only");
    }
}

/// The token is cancelled by the first signal; the second one ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (stopping, mut first) = (stop.clone(), Signals::listen()?);
    tokio::spawn(async move {
        first.recv().await;
        tracing::info!("stopping; a second signal stops at once");
        stopping.cancel();
        tokio::time::sleep(ONE_SIGNAL).await;
        if let Ok(mut second) = Signals::listen() {
            second.recv().await;
            std::process::exit(1);
        }
    });
    Ok(stop)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let database = Database::open(&settings.database)?;
    database.wait_until_ready(&settings.database).await?;
    let applied = database.migrate().await?;
    say(format_args!("migrations applied: {applied}"))?;
    Ok(())
}

async fn print_migrations(settings: &Settings) -> anyhow::Result<()> {
    let database = Database::open(&settings.database)?;
    database.wait_until_ready(&settings.database).await?;
    for migration in database.migrations().await? {
        let state = if migration.applied {
            "applied"
        } else {
            "pending"
        };
        say(format_args!(
            "{state}  {}  {}",
            migration.version, migration.description
        ))?;
    }
    Ok(())
}

async fn seed(settings: Settings) -> anyhow::Result<()> {
    let platform = Platform::connect(settings, Clock::system()).await?;
    let cache_is_in_use = !platform.cache.has_second_tier();
    let app = App::new(platform)?;
    say(format_args!("samples added: {}", app.add_samples().await?))?;
    if cache_is_in_use {
        say(
            "The disk cache could not be opened; a service that is using it shows the samples later.",
        )?;
    }
    Ok(())
}

fn print_document(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(Platform::offline(settings)?)?;
    say(app.document().to_pretty_json()?)
}

fn print_routes(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(Platform::offline(settings)?)?;
    for route in app.routes() {
        say(format_args!(
            "{:7} {:28} {}",
            route.method, route.path, route.handler
        ))?;
    }
    Ok(())
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
