//! One generated service and what every such service must do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use axle_tests::{Workshop, oldest};
use tempfile::TempDir;
use toml::{Table, Value};
use xtask::generate::{self, Request, Tool};
use xtask::postgres::{self, Postgres};
use xtask::process;
use xtask::profiles::Profile;
use xtask::redis;
use xtask::repo;
use xtask::service::{self, Service};
use xtask::ship::shims::Shims;
use xtask::suite::POSTGRES_URL;
use xtask::tools;

/// A profile's service, generated when the first check asks for it.
pub struct Generated {
    pub profile: Profile,
    number: usize,
    workshop: OnceLock<(Workshop, PathBuf)>,
    postgres: OnceLock<Postgres>,
}

impl Generated {
    pub fn later(profile: Profile, number: usize) -> Self {
        Self {
            profile,
            number,
            workshop: OnceLock::new(),
            postgres: OnceLock::new(),
        }
    }

    /// A number, because the name of a profile can be longer than that of a project may be.
    pub fn name(&self) -> String {
        format!("axle-{}", self.number)
    }

    /// The project's folder, outside the repository.
    pub fn project(&self) -> Result<&Path> {
        if self.workshop.get().is_none() {
            let workshop = Workshop::new();
            let name = self.name();
            let request = Request {
                source: workshop.source(),
                into: workshop.output(),
                name: &name,
                answers: &self.profile.answers,
            };
            let project = generate::project(&Tool::Binary(oldest()), request)?;
            let _ = self.workshop.set((workshop, project));
        }
        let (_, project) = self.workshop.get().context("it was generated above")?;
        Ok(project)
    }

    /// The built service.
    pub fn binary(&self) -> Result<PathBuf> {
        process::capture(service::cargo(self.project()?).arg("build"))?;
        Ok(service::binary(&self.name(), "debug"))
    }

    pub fn needs_postgres(&self) -> bool {
        self.profile.answer("database") == Some("postgres")
    }

    /// The suite's PostgreSQL server, or one started for this service.
    fn postgres_url(&self) -> Result<String> {
        if let Ok(url) = std::env::var(POSTGRES_URL) {
            return Ok(url);
        }
        if self.postgres.get().is_none() {
            let _ = self.postgres.set(Postgres::start()?);
        }
        let postgres = self.postgres.get().context("it was started above")?;
        Ok(postgres.url("postgres"))
    }

    pub fn uses_all_its_dependencies(&self) -> Result<()> {
        let mut look = Command::new(tools::cargo_machete()?);
        process::capture(look.current_dir(self.project()?))?;
        Ok(())
    }

    pub fn has_no_clippy_warning(&self) -> Result<()> {
        let args = ["clippy", "--all-targets", "--", "-D", "warnings"];
        process::capture(service::cargo(self.project()?).args(args))?;
        Ok(())
    }

    /// As `scripts/check` of the project does.
    pub fn documents_itself(&self) -> Result<()> {
        let mut document = service::cargo(self.project()?);
        document
            .args(["doc", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings");
        process::capture(&mut document)?;
        Ok(())
    }

    /// A script of the project, which wants the lock as the first build leaves it.
    fn script(&self, name: &str) -> Result<Command> {
        let mut metadata = service::cargo(self.project()?);
        process::capture(metadata.args(["metadata", "--format-version", "1"]))?;
        Ok(service::script(self.project()?, name))
    }

    /// As its pipeline does, but with the compiler that is here: `rustup` would fetch the one of `rust-version`.
    pub fn passes_its_own_check(&self) -> Result<()> {
        let compiler = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
        let compiler = String::from_utf8(compiler.stdout)?;
        let shims = Shims::new()?;
        shims.record("rustup", "")?;
        // Programs themselves, not those of rustup that look for the one that is wanted.
        let [shims_first, compiler] = [shims.path(), format!("{}/bin", compiler.trim())];
        let (first, rest) = shims_first.split_once(':').context("a PATH has folders")?;
        let mut check = self.script("scripts/check")?;
        check.env("PATH", format!("{first}:{compiler}:{rest}"));
        process::capture(&mut check)?;
        let asked = shims.asked();
        let wanted = "rustup toolchain install 1.";
        ensure!(
            asked.len() == 1 && asked[0].starts_with(wanted),
            "{asked:?}"
        );
        Ok(())
    }

    /// As its pipeline does.
    pub fn passes_its_own_tests(&self) -> Result<()> {
        self.passes(self.script("scripts/test")?)
    }

    /// The same without those of the cache and of cached pages. They take most of the time, and run in the defaults and,
    /// on both databases and with Redis, in the template as it stands.
    pub fn passes_the_tests_beside_the_cache(&self) -> Result<()> {
        let mut test = service::cargo(self.project()?);
        test.args(["test", "--", "--skip", "cache::", "--skip", "fleet::"]);
        self.passes(test)
    }

    fn passes(&self, mut test: Command) -> Result<()> {
        if self.needs_postgres() {
            test.env(POSTGRES_URL, self.postgres_url()?);
        }
        if self.profile.takes("features", "redis") {
            redis::server()?; // they start it themselves
        }
        let output = process::capture(&mut test)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = said
            .lines()
            .any(|line| line.starts_with("test result: ok.") && !line.contains(" 0 passed"));
        ensure!(passed, "no test ran:\n{said}");
        Ok(())
    }

    /// The first build takes what the service does not need out of the lock; it must not bring anything new.
    pub fn keeps_the_versions_of_the_shipped_lock(&self) -> Result<()> {
        let shipped = locked(&repo::root().join("template/Cargo.lock"))?;
        let used = locked(&self.project()?.join("Cargo.lock"))?;
        let own = format!("{} ", self.name());
        let new: Vec<_> = used
            .difference(&shipped)
            .filter(|package| !package.starts_with(&own))
            .collect();
        ensure!(new.is_empty(), "not in the template's Cargo.lock: {new:?}");
        Ok(())
    }

    /// The address of a new database for the check called `check`, which works in `folder`.
    pub fn new_database(&self, check: &str, folder: &Path) -> Result<String> {
        if self.needs_postgres() {
            let name = format!("{}-{check}", self.name());
            return postgres::create_database(&self.postgres_url()?, &name);
        }
        Ok(format!("sqlite://{}/app.db", folder.display()))
    }

    pub fn answers_and_stops_cleanly(&self) -> Result<()> {
        let binary = self.binary()?;
        let folder = TempDir::new()?;
        let url = self.new_database("answers", folder.path())?;
        let env = [("DATABASE_URL", url.as_str())];
        let service = Service::start(&binary, self.project()?, &env)?;
        for path in ["/", "/health", "/api/openapi.json"] {
            let answer = service.get(path)?;
            ensure!(
                answer.status == 200,
                "{path} answered {}\n{}",
                answer.text,
                service.log()
            );
        }
        let health = service.get("/health")?;
        ensure!(
            health.text.contains(r#""cache_l2":"ok""#),
            "the cache is not well: {}",
            health.text
        );
        stops_cleanly(service)
    }
}

pub fn stops_cleanly(mut service: Service) -> Result<()> {
    let status = service.stop()?;
    ensure!(
        status.code() == Some(0),
        "after SIGTERM: {status}\n{}",
        service.log()
    );
    Ok(())
}

/// Every package of a lock file, as `name version`.
fn locked(path: &Path) -> Result<BTreeSet<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock: Table = text.parse()?;
    let packages = lock["package"]
        .as_array()
        .context("a lock file lists packages")?;
    let field = |package: &Value, name: &str| package[name].as_str().map(str::to_owned);
    Ok(packages
        .iter()
        .filter_map(|package| {
            Some(format!(
                "{} {}",
                field(package, "name")?,
                field(package, "version")?
            ))
        })
        .collect())
}
