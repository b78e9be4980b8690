//! A Redis server for one test, to be killed, frozen and brought back as the test likes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use tempfile::TempDir;

/// Its data is in a folder of its own, and nothing is saved there unless a test does. Stopped when it is dropped.
pub struct RedisServer {
    process: Child,
    address: SocketAddr,
    options: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more options of `redis-server`, for example `["--cluster-enabled", "yes"]`.
    pub async fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        loop {
            let folder = tempfile::tempdir().expect("a folder for Redis");
            let address = free_address();
            let mut server = Self {
                process: spawn(address, &options, &folder),
                address,
                options: options.clone(),
                folder,
            };
            if server.is_ready().await {
                return server;
            }
            // Somebody else took the port meanwhile.
        }
    }

    /// Three masters of a cluster, each with a third of the slots.
    pub async fn start_cluster() -> [Self; 3] {
        let start = async || {
            // The usual one, 10000 above the other, need not be free, or be a port at all.
            let bus = free_address().port().to_string();
            let server =
                Self::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await;
            (server, bus)
        };
        let nodes = [start().await, start().await, start().await];
        let (_, first_bus) = &nodes[0];
        let first_port = nodes[0].0.address.port().to_string();
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for ((node, _), (from, to)) in nodes.iter().zip(slots) {
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &first_port, first_bus];
            let () = node.command(&["CLUSTER", "ADDSLOTSRANGE", from, to]).await;
            let () = node.command(&meet).await;
        }
        let nodes = nodes.map(|(node, _)| node);
        for node in &nodes {
            let deadline = Instant::now() + Duration::from_secs(20);
            let is_up = async || -> bool {
                let info: String = node.command(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            };
            while !is_up().await {
                assert!(Instant::now() < deadline, "the cluster does not form");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        nodes
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// With SIGKILL: it has no time to save anything, or to say goodbye.
    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// At the same address, with what it last saved. Kills it before, if it still runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.address, &self.options, &self.folder);
        assert!(self.is_ready().await, "redis-server does not start again");
    }

    /// With SIGSTOP: its connections stay open, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    pub async fn flush_scripts(&self) {
        let () = self.command(&["SCRIPT", "FLUSH"]).await;
    }

    pub async fn flush_all(&self) {
        let () = self.command(&["FLUSHALL"]).await;
    }

    /// Saves what it holds now, for the next start.
    pub async fn save(&self) {
        let () = self.command(&["SAVE"]).await;
    }

    /// Ends the connections of everyone else.
    pub async fn disconnect_clients(&self) {
        for kind in ["normal", "pubsub"] {
            let _: u64 = self.command(&["CLIENT", "KILL", "TYPE", kind]).await;
        }
    }

    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let result = self.try_command(words).await;
        result.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    /// Whether it answers; not, if it has ended instead.
    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let has_ended = self.process.try_wait().expect("it can be looked at");
            if has_ended.is_some() {
                return false;
            }
            if self.try_command::<String>(&["PING"]).await.is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &process]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends what is frozen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn spawn(address: SocketAddr, options: &[String], folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("these tests need redis-server on the PATH (package redis-server): {error}")
        })
}
