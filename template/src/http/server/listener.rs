//! Where connections come from: a port, a file, or a socket that systemd has opened.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::tls::Certificates;
use super::{OperatorSettings, ServerSettings};

/// The open ports of the service.
pub struct Listeners {
    pub public: Listener,
    pub operator: Listener,
}

impl Listeners {
    /// Takes the sockets that systemd has opened, the public one first, and opens those that are missing.
    ///
    /// # Errors
    /// If one of the addresses is taken or not ours, or the certificate cannot be used.
    pub async fn bind(
        server: &ServerSettings,
        operator: &OperatorSettings,
    ) -> anyhow::Result<Self> {
        let mut inherited = ListenFd::from_env();
        let certificates = server.tls.as_ref().map(Certificates::load).transpose()?;
        let public = match (Socket::inherited(&mut inherited, 0)?, &server.unix_socket) {
            (Some(socket), _) => socket,
            (None, Some(path)) => Socket::bind_file(path).await?,
            (None, None) => Socket::bind("server", (server.host, server.port).into()).await?,
        };
        let operator = match Socket::inherited(&mut inherited, 1)? {
            Some(socket) => socket,
            None => Socket::bind("operator", (operator.host, operator.port).into()).await?,
        };
        Ok(Self {
            public: Listener {
                socket: public,
                certificates,
            },
            operator: Listener {
                socket: operator,
                certificates: None,
            },
        })
    }
}

/// A socket that is listened on, and the certificate it shows. Its text is where to find it.
pub struct Listener {
    socket: Socket,
    certificates: Option<Certificates>,
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Port(listener),
            certificates: None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        match &self.socket {
            Socket::Port(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{scheme}://{address}"),
                Err(error) => write!(f, "{scheme}://?: {error}"),
            },
            Socket::File { path, .. } => write!(f, "{scheme}+unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// # Errors
    /// If it is a file, or the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Port(listener) => listener.local_addr(),
            Socket::File { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let (stream, address) = match &self.socket {
            Socket::Port(listener) => {
                let (stream, address) = listener.accept().await?;
                // A connection that has gone again says so when it is read.
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), Some(address))
            }
            Socket::File { listener, .. } => (Stream::Unix(listener.accept().await?.0), None),
        };
        Ok(Accepted {
            stream,
            address,
            certificates: self.certificates.clone(),
        })
    }

    /// Reads the certificate again whenever it changes, until the handle is dropped.
    pub(super) fn watch_certificates(&self) -> Option<AbortOnDropHandle<()>> {
        let certificates = self.certificates.clone()?;
        let watch = async move { certificates.reload_on_change().await };
        Some(AbortOnDropHandle::new(tokio::spawn(watch)))
    }
}

/// A connection of which nothing is read yet.
pub(super) struct Accepted {
    pub stream: Stream,
    /// Absent at a file.
    pub address: Option<SocketAddr>,
    pub certificates: Option<Certificates>,
}

impl Accepted {
    /// Whoever reaches a file is on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())
    }
}

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Socket {
    Port(TcpListener),
    File {
        listener: UnixListener,
        path: PathBuf,
    },
}

impl Socket {
    async fn bind(section: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen on {address}; set {section}.host and {section}.port to a free address"
            )
        })?;
        Ok(Self::Port(listener))
    }

    /// What an earlier run has left there is removed, unless somebody listens on it.
    async fn bind_file(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        match UnixStream::connect(path).await {
            Ok(_) => {
                bail!("cannot listen on {shown}: another process does; set server.unix_socket")
            }
            // Any other file refuses too: it stays as it is, and keeps us from listening.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
                std::fs::remove_file(path)
                    .with_context(|| format!("the old socket {shown} cannot be removed"))?;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).with_context(|| {
            format!("cannot listen on {shown}; set server.unix_socket to a file in a folder that is there")
        })?;
        Ok(Self::File {
            listener,
            path: path.to_owned(),
        })
    }

    /// The socket at `index` of those that were there when the process started (`LISTEN_FDS`).
    fn inherited(sockets: &mut ListenFd, index: usize) -> anyhow::Result<Option<Self>> {
        if index >= sockets.len() {
            return Ok(None);
        }
        if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
            listener.set_nonblocking(true)?;
            return Ok(Some(Self::Port(TcpListener::from_std(listener)?)));
        }
        let listener = sockets
            .take_unix_listener(index)
            .with_context(|| format!("socket {index} of LISTEN_FDS cannot be listened on"))?;
        let Some(listener) = listener else {
            return Ok(None);
        };
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let path = address.as_pathname().unwrap_or(Path::new("?")).to_owned();
        Ok(Some(Self::File { listener, path }))
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}
