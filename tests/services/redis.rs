//! What a service with Redis must do: several instances are as one, and without the server it goes on.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::postgres::free_port;
use xtask::process;
use xtask::redis::{self, Redis};
use xtask::service::{self, Answer, Service};

use crate::Check;
use crate::service::{Generated, stops_cleanly};

const ARTICLES: &str = "/api/v1/articles";

/// How soon one instance knows what another has changed: far below the 5 minutes an entry stays in memory.
const SOON: Duration = Duration::from_secs(10);

/// How soon a server that is back is used again: it is left alone for 30 seconds, then tried.
const BACK: Duration = Duration::from_mins(1);

/// Of every profile with Redis.
pub const OF_EACH: [(&str, Check); 1] = [(
    "instances_see_each_others_changes",
    instances_see_each_others_changes,
)];

/// Of one of them.
pub const OF_ONE: [(&str, Check); 2] = [
    ("starts_before_its_redis", starts_before_its_redis),
    (
        "a_fleet_under_load_does_without_a_redis_that_freezes_and_dies",
        a_fleet_under_load_does_without_a_redis_that_freezes_and_dies,
    ),
];

fn instances_see_each_others_changes(generated: &Generated) -> Result<()> {
    let redis = Redis::start()?;
    let fleet = Fleet::new(generated, "fleet", redis.url())?;
    let one = fleet.start("one")?;
    let location = publish(&one, "First")?;
    let path = fleet.readable(&location);
    read(&one, &path, "First")?;
    stops_cleanly(one)?;

    // What the first has left is there for another, and for itself when it is back.
    let other = fleet.start("other")?;
    let one = fleet.start("one")?;
    for service in [&other, &one] {
        for tier in ["HIT-L2", "HIT-L1"] {
            fleet.came_from(&read(service, &path, "First")?, tier)?;
        }
    }

    let has_pages = fleet.has_pages();
    if has_pages {
        read(&other, LIST, "First")?;
        read(&one, MAP, SLUG)?;
    }
    rename(&one, &location, "Second")?;
    read(&one, &path, "Second")?;
    until(SOON, "the other shows it", || {
        shows(&other, &path, "Second")
    })?;
    until(SOON, "the other lists it", || {
        Ok(!has_pages || shows(&other, LIST, "Second")?)
    })?;
    rename(&other, &location, "Third")?;
    read(&other, &path, "Third")?;
    until(SOON, "the one shows it", || shows(&one, &path, "Third"))?;
    let gone = other.send("DELETE", &location, "")?;
    has_status(&other, &gone, 204)?;
    until(SOON, "the map of the one is without it", || {
        Ok(!has_pages || !shows(&one, MAP, SLUG)?)
    })?;

    stops_cleanly(one)?;
    stops_cleanly(other)
}

fn starts_before_its_redis(generated: &Generated) -> Result<()> {
    let port = free_port()?;
    let fleet = Fleet::new(generated, "early", redis::url(port))?;
    let service = fleet.start("one")?;
    until(SOON, "degraded", || cache_is(&service, "degraded"))?;
    let location = publish(&service, "First")?;
    let path = fleet.readable(&location);
    read(&service, &path, "First")?;
    rename(&service, &location, "Second")?;
    read(&service, &path, "Second")?;

    let _redis = Redis::start_on(port)?;
    until(BACK, "well again", || {
        read(&service, &path, "Second")?;
        cache_is(&service, "ok")
    })?;
    stops_cleanly(service)
}

fn a_fleet_under_load_does_without_a_redis_that_freezes_and_dies(
    generated: &Generated,
) -> Result<()> {
    let redis = Redis::start()?;
    let fleet = Fleet::new(generated, "load", redis.url())?;
    let instances = ["one", "two", "three"].map(|name| fleet.start(name));
    let instances = instances.into_iter().collect::<Result<Vec<_>>>()?;
    for instance in &instances {
        until(SOON, "well", || cache_is(instance, "ok"))?;
    }
    let one = &instances[0];
    let location = publish(one, "First")?;
    let path = fleet.readable(&location);

    let is_over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let over = OnDrop(&is_over);
        let visitors: Vec<_> = instances
            .iter()
            .flat_map(|instance| [instance; 2])
            .map(|instance| {
                let (address, path, is_over) = (&instance.address, &path, &is_over);
                scope.spawn(move || visit_until(is_over, address, path))
            })
            .collect();
        redis.freeze()?;
        for title in ["Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh"] {
            rename(one, &location, title)?;
            read(one, &path, title)?;
        }
        for instance in &instances {
            until(BACK, "degraded", || cache_is(instance, "degraded"))?;
        }
        let port = redis.kill();
        rename(one, &location, "Eighth")?;
        read(one, &path, "Eighth")?;
        let _redis = Redis::start_on(port)?;
        for instance in &instances {
            until(BACK, "well again", || cache_is(instance, "ok"))?;
            until(SOON, "up to date", || shows(instance, &path, "Eighth"))?;
        }
        rename(one, &location, "Ninth")?;
        for instance in &instances {
            until(SOON, "told", || shows(instance, &path, "Ninth"))?;
        }
        drop(over);
        let ended = visitors.into_iter().map(|visitor| match visitor.join() {
            Ok(answered) => answered,
            Err(_) => bail!("a visitor panicked"),
        });
        ended.sum::<Result<u32>>()
    })?;
    ensure!(answered > 100, "the load was {answered} requests");
    for instance in instances {
        stops_cleanly(instance)?;
    }
    Ok(())
}

/// Says so when the test is over, however it ends.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks again and again; every answer must be a good one.
fn visit_until(is_over: &AtomicBool, address: &str, path: &str) -> Result<u32> {
    let mut answered = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = service::get(address, path)?;
        ensure!(
            answer.status == 200,
            "a visitor got {} of {path}",
            answer.status
        );
        answered += 1;
        // It is not speed that is tested.
        thread::sleep(Duration::from_millis(20));
    }
    Ok(answered)
}

/// Instances of one service, each in a folder of its own, on one database and one Redis.
struct Fleet<'g> {
    generated: &'g Generated,
    folders: TempDir,
    database: String,
    redis: String,
}

impl<'g> Fleet<'g> {
    fn new(generated: &'g Generated, check: &str, redis: String) -> Result<Self> {
        let folders = TempDir::new()?;
        let database = generated.new_database(check, folders.path())?;
        Ok(Self {
            generated,
            folders,
            database,
            redis,
        })
    }

    fn start(&self, instance: &str) -> Result<Service> {
        let folder = self.folders.path().join(instance);
        fs::create_dir_all(&folder)?;
        let env = [
            ("DATABASE_URL", self.database.as_str()),
            ("REDIS_URL", self.redis.as_str()),
            // It would take what the tests look for into memory.
            ("APP__CACHE__WARMUP_ENABLED", "false"),
            // All visitors come from one address.
            ("APP__RATE_LIMIT__ENABLED", "false"),
        ];
        Service::start(&self.generated.binary()?, &folder, &env)
    }

    fn has_pages(&self) -> bool {
        self.generated.profile.answer("frontend") == Some("pages")
    }

    /// Where to read the article that is at `location` of the API: as a page, if there are any.
    fn readable(&self, location: &str) -> String {
        if self.has_pages() {
            format!("/articles/{SLUG}")
        } else {
            location.to_owned()
        }
    }

    /// Fails if a page came from elsewhere; the API does not say where its answers come from.
    fn came_from(&self, answer: &Answer, tier: &str) -> Result<()> {
        let found = answer.header("x-cache-status");
        ensure!(
            !self.has_pages() || found == Some(tier),
            "{found:?} instead of {tier}"
        );
        Ok(())
    }
}

const SLUG: &str = "one-article";

/// The page that lists articles, and the one that lists pages.
const LIST: &str = "/";
const MAP: &str = "/sitemap.xml";

fn article(title: &str) -> String {
    format!(r#"{{"title":"{title}","slug":"{SLUG}","status":"published"}}"#)
}

/// Publishes the article and says where it is.
fn publish(service: &Service, title: &str) -> Result<String> {
    let answer = service.send("POST", ARTICLES, &article(title))?;
    has_status(service, &answer, 201)?;
    let location = answer.header("location").context("no Location")?;
    Ok(location.to_owned())
}

fn rename(service: &Service, location: &str, title: &str) -> Result<()> {
    let answer = service.send("PUT", location, &article(title))?;
    has_status(service, &answer, 200)
}

/// Reads `path` and fails if `title` is not there.
fn read(service: &Service, path: &str, title: &str) -> Result<Answer> {
    let answer = service.get(path)?;
    has_status(service, &answer, 200)?;
    let text = &answer.text;
    ensure!(text.contains(title), "{path} does not show {title}: {text}");
    Ok(answer)
}

fn shows(service: &Service, path: &str, title: &str) -> Result<bool> {
    let answer = service.get(path)?;
    has_status(service, &answer, 200)?;
    Ok(answer.text.contains(title))
}

fn cache_is(service: &Service, state: &str) -> Result<bool> {
    let health = service.get("/health")?;
    has_status(service, &health, 200)?;
    Ok(health.text.contains(&format!(r#""cache_l2":"{state}""#)))
}

fn has_status(service: &Service, answer: &Answer, status: u16) -> Result<()> {
    let (text, log) = (&answer.text, service.log());
    ensure!(answer.status == status, "{text}\n{log}");
    Ok(())
}

/// Asks until the answer is yes; an error is one at once.
fn until(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !ask()? {
        process::check_interrupt()?;
        ensure!(Instant::now() < deadline, "not {what} within {patience:?}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
