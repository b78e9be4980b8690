//! The network between one node and Redis, in the hands of the test.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on while it is whole.
pub struct Proxy {
    address: SocketAddr,
    is_whole: watch::Sender<bool>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (is_whole, state) = watch::channel(true);
        tokio::spawn(async move {
            // Ends with the test, when the other end of `state` is gone.
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server, state.clone()));
            }
        });
        Self { address, is_whole }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends every connection, and every new one as it begins.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    pub fn heal(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<bool>) {
    if !*state.borrow_and_update() {
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
        _ = state.changed() => {}
    }
}
