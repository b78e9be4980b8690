//! The image of a generated service: built from its unchanged Dockerfile, and run with nothing it does not need.
//!
//! Where the suite runs, no image can be fetched. The two the Dockerfile begins with are stood in for: the one with the
//! compiler by an empty one into which this machine's programs are mounted, the other by the Debian packages it is made of.

mod docker;
mod pod;
mod ports;

pub use docker::blocks;
pub use pod::{HOST, Pod};

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;

use crate::accounts;
use crate::postgres::free_port;
use crate::process;
use crate::repo;
use crate::service;
use crate::tools;

/// What the image of a quick build may weigh, unpacked, in bytes: it has 34.3 MB, and that of a release 28.9.
const LARGEST: u64 = 37 * 1000 * 1000;

/// The same of a release, which is built only to be measured: `cargo xtask bench --image`.
pub const LARGEST_RELEASE: u64 = 30 * 1000 * 1000;

/// How long a container may take to answer.
const PATIENCE: Duration = Duration::from_secs(45);

/// The folders of this machine that hold a C compiler and what it needs.
const PROGRAMS: [&str; 7] = ["bin", "lib", "lib64", "sbin", "include", "share", "libexec"];

/// What a release costs minutes for.
const QUICK: [&str; 4] = [
    "CARGO_PROFILE_RELEASE_LTO=off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL=1",
    "CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_OPT_LEVEL=0",
];

const RUST: &str = "localhost/axle/rust:local";
const RUNTIME: &str = "localhost/axle/runtime:local";

/// Why this machine can build no image, if it cannot.
#[must_use]
pub fn obstacle() -> Option<String> {
    if !geteuid().is_root() {
        return Some("building an image without Docker needs root".into());
    }
    // slirp4netns and catatonit are for pods: their network, and what holds them together. The rest is for the guide.
    let needed = [
        "buildah",
        "podman",
        "runc",
        "slirp4netns",
        "catatonit",
        "git",
        "curl",
        "openssl",
    ];
    let mut missing = needed
        .iter()
        .filter(|program| tools::on_path(&[program]).is_none());
    let failed = missing.find_map(|program| tools::apt_install(program).err());
    failed.map(|error| format!("{error:#}"))
}

/// Images and containers of the suite, in a folder of their own.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the store for builds that are not optimized, with the two images to begin with in it.
    pub fn quick() -> Result<Self> {
        Self::open("image", &QUICK)
    }

    /// The same for builds as they are released.
    pub fn release() -> Result<Self> {
        Self::open("image-release", &[])
    }

    fn open(name: &str, profile: &[&str]) -> Result<Self> {
        let store = Self {
            folder: repo::target().join(name),
        };
        fs::create_dir_all(store.folder.join("target"))?;
        let folder = store.folder.display();
        // Containers share the network of this machine: a bridge wants rights that a sandbox does not give.
        store.write(
            "containers.conf",
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\nnetns = \"host\"\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
        )?;
        store.write(
            "storage.conf",
            &format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = \"{folder}/root\"\nrunroot = \"{folder}/run\"\n"
            ),
        )?;
        store.make_rust(profile)?;
        store.make_runtime()?;
        Ok(store)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"))
            .env("BUILDAH_ISOLATION", "chroot");
        command
    }

    /// An image with nothing but the folders that this machine's programs are mounted into.
    fn make_rust(&self, profile: &[&str]) -> Result<()> {
        let root = self.folder.join("rust");
        let script = format!(
            "rm -rf {root} && mkdir -p {root}/etc/ssl/certs {root}/tmp {root}/root {root}/proc {root}/sys {root}/dev \
             {root}/run {root}/var/tmp {root}/usr/local/cargo {root}/usr/local/rustup && chmod 1777 {root}/tmp \
             {root}/var/tmp && cd {root} && mkdir usr/{programs} && ln -s usr/bin usr/sbin usr/lib usr/lib64 . \
             && cp -a /etc/passwd /etc/group /etc/ld.so.cache /etc/nsswitch.conf /etc/alternatives etc/ \
             && cp \"${{SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}\" etc/ssl/certs/ca-certificates.crt",
            root = root.display(),
            programs = PROGRAMS.join(" usr/"),
        );
        process::capture(Command::new("sh").args(["-c", &script]))?;
        let path = "PATH=/usr/local/rustup/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let env = [
            path,
            "CARGO_HOME=/usr/local/cargo",
            "RUSTUP_HOME=/usr/local/rustup",
        ];
        self.make(RUST, &root, &[&env[..], profile].concat())
    }

    /// An image like `gcr.io/distroless/static`: certificates, time zones, a user, no program.
    fn make_runtime(&self) -> Result<()> {
        let root = self.folder.join("runtime");
        let script = format!(
            "rm -rf {root} && mkdir -p {root}.deb {root} && cd {root}.deb \
             && apt-get download -qq base-files ca-certificates netbase tzdata \
             && for package in *.deb; do dpkg -x $package {root}; done && cd {root} && rm -rf {root}.deb usr/share/doc \
             && mkdir -p etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
             && echo 'hosts: files dns' > etc/nsswitch.conf \
             && echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' > etc/passwd \
             && echo 'nonroot:x:65532:' > etc/group",
            root = root.display(),
        );
        process::capture(Command::new("sh").args(["-c", &script]))?;
        self.make(RUNTIME, &root, &["PATH=/usr/bin:/bin"])
    }

    fn make(&self, tag: &str, root: &Path, env: &[&str]) -> Result<()> {
        let file = format!("FROM scratch\nCOPY . /\nENV {}\n", env.join(" "));
        self.write("Dockerfile", &file)?;
        let mut build = self.command("buildah");
        build.args(["bud", "--quiet", "--pull-never", "--tag", tag, "--file"]);
        build.arg(self.folder.join("Dockerfile")).arg(root);
        process::capture(&mut build)?;
        Ok(())
    }

    /// Builds the image `tag` of the project in `folder`. What cargo compiles is kept for the next time.
    pub fn build(&self, folder: &Path, tag: &str) -> Result<()> {
        // The shipped lock file loses the crates that the answers did not need.
        process::capture(
            process::cargo()
                .args(["metadata", "--format-version", "1"])
                .current_dir(folder),
        )?;
        process::run(self.build_command()?.args(["--tag", tag]).arg(folder))
    }

    /// What builds an image, but for its tag and its folder.
    fn build_command(&self) -> Result<Command> {
        let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
        let sysroot = String::from_utf8(sysroot.stdout)?;
        let home = env::var("CARGO_HOME")
            .or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))
            .context("there is neither CARGO_HOME nor HOME")?;
        let mut volumes: Vec<String> = PROGRAMS
            .iter()
            .map(|name| format!("/usr/{name}:/usr/{name}:ro"))
            .collect();
        volumes.push(format!("{}:/usr/local/rustup:ro", sysroot.trim()));
        volumes.push(format!("{home}/registry:/usr/local/cargo/registry"));
        volumes.push(format!("{}/target:/app/target", self.folder.display()));
        let mut build = self.command("buildah");
        build.args(["bud", "--pull-never", "--format", "docker"]);
        build.args(volumes.iter().flat_map(|volume| ["--volume", volume]));
        for (name, image) in [("RUST_IMAGE", RUST), ("RUNTIME_IMAGE", RUNTIME)] {
            build.args(["--build-arg", &format!("{name}={image}")]);
        }
        Ok(build)
    }

    /// Puts `binary` into the image `tag` by the last stage of the project's Dockerfile: what a debug build has compiled
    /// already need not be compiled once more.
    pub fn wrap(&self, project: &Path, binary: &Path, tag: &str) -> Result<()> {
        let root = self.folder.join("wrapped");
        let name = binary.file_name().context("the binary has a name")?;
        let script = format!(
            "rm -rf {root} && mkdir -p {root}/data {root}/out/app && strip -o {root}/out/app/{name} {binary} \
             && ldd {binary} | grep --only-matching '/[^ ]*' \
             | xargs cp --parents --dereference --target-directory {root}/out",
            root = root.display(),
            name = name.display(),
            binary = binary.display(),
        );
        process::capture(Command::new("sh").args(["-c", &script]))?;
        let dockerfile = fs::read_to_string(project.join("Dockerfile"))?;
        let begin = "FROM ${RUNTIME_IMAGE}";
        let (_, last) = dockerfile
            .split_once(begin)
            .context("it has no last stage")?;
        let last = last.replace("COPY --from=build ", "COPY ");
        self.write("Dockerfile", &format!("ARG RUNTIME_IMAGE\n{begin}{last}"))?;
        let mut build = self.command("buildah");
        build.args(["bud", "--quiet", "--pull-never", "--format", "docker"]);
        build.args(["--build-arg", &format!("RUNTIME_IMAGE={RUNTIME}")]);
        build.args(["--tag", tag, "--file"]);
        build.arg(self.folder.join("Dockerfile")).arg(root);
        process::capture(&mut build)?;
        Ok(())
    }

    /// What `podman image inspect` says of `tag` in the words of `format`.
    fn inspect(&self, tag: &str, format: &str) -> Result<String> {
        let mut inspect = self.command("podman");
        inspect.args(["image", "inspect", "--format", format, tag]);
        let output = process::capture(&mut inspect)?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// What the image weighs, unpacked, in bytes.
    pub fn size(&self, tag: &str) -> Result<u64> {
        Ok(self.inspect(tag, "{{.Size}}")?.parse()?)
    }

    /// Fails unless the image is small, runs as nobody and has no shell.
    pub fn examine(&self, tag: &str) -> Result<()> {
        let size = self.size(tag)?;
        println!("The image has {} kB.", size / 1000);
        ensure!(size <= LARGEST, "the image has {size} bytes");
        let user = self.inspect(tag, "{{.User}}")?;
        ensure!(user == "65532:65532", "it runs as {user:?}");
        let health = self.inspect(tag, "{{.HealthCheck.Test}}")?;
        ensure!(
            health.contains("healthcheck"),
            "it has no health check: {health}"
        );
        for shell in ["/bin/sh", "/bin/bash", "/bin/busybox"] {
            let mut run = self.command("podman");
            run.args(["run", "--rm", "--pull", "never", "--no-healthcheck"])
                .args(["--entrypoint", shell, tag]);
            let started = process::output(&mut run)?.status.success();
            ensure!(!started, "it has {shell}");
        }
        Ok(())
    }

    /// Starts the image with 64 MiB, a read-only root and no capability.
    pub fn start(&self, tag: &str) -> Result<Container<'_>> {
        let (port, operator) = (free_port()?, free_port()?);
        let mut run = self.command("podman");
        run.args(["run", "--detach", "--pull", "never", "--no-healthcheck"])
            .args(["--network", "host", "--read-only", "--cap-drop", "ALL"])
            .args(["--security-opt", "no-new-privileges", "--memory", "64m"])
            .args(["--volume", "/app/data", "--env", &format!("PORT={port}")])
            .args(["--env", "APP__SERVER__HOST=127.0.0.1"])
            .args(accounts::SETTINGS.map(|(name, value)| format!("--env={name}={value}")))
            .args(["--env", "APP__OPERATOR__HOST=127.0.0.1"])
            .args(["--env", &format!("APP__OPERATOR__PORT={operator}"), tag]);
        let output = process::capture(&mut run)?;
        let id = String::from_utf8(output.stdout)?.trim().to_owned();
        let container = Container {
            store: self,
            id,
            address: format!("127.0.0.1:{port}"),
        };
        container.wait_until_healthy()?;
        Ok(container)
    }
}

/// A running container, gone when dropped.
pub struct Container<'a> {
    store: &'a Store,
    id: String,
    /// `127.0.0.1:8080`
    pub address: String,
}

impl Container<'_> {
    fn podman(&self, words: &[&str]) -> Result<String> {
        let mut podman = self.store.command("podman");
        let output = process::capture(podman.args(words).arg(&self.id))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn wait_until_healthy(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            process::check_interrupt()?;
            let last = match service::get(&self.address, "/health") {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => answer.text,
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                bail!("the container is not healthy: {last}\n{}", self.logs()?);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the service said on its standard error.
    pub fn logs(&self) -> Result<String> {
        let mut logs = self.store.command("podman");
        let output = process::capture(logs.args(["logs", &self.id]))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs the image's own health check in the container.
    pub fn asks_itself(&self, binary: &str) -> Result<()> {
        let mut exec = self.store.command("podman");
        process::capture(exec.args(["exec", &self.id, binary, "healthcheck"]))?;
        Ok(())
    }

    /// Sends SIGTERM, waits for the end and says with which code it came.
    pub fn stop(&self) -> Result<i32> {
        self.podman(&["stop", "--time", "30"])?;
        let code = self.podman(&["inspect", "--format", "{{.State.ExitCode}}"])?;
        code.parse().context("the exit code is a number")
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // Its volume goes with it; what is gone already needs no word.
        let _ = self.podman(&["rm", "--force", "--volumes"]);
    }
}
