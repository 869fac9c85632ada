//! A connection's worst friend: a proxy between the server and PostgreSQL or nats-server, which cuts, stalls, and
//! answers by halves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// What only an append sends to the database: the metadata of a command.
const APPEND: &[u8] = b"\"request_id\"";

/// Where the other side is.
#[derive(Debug, Clone)]
pub enum Target {
    Unix(PathBuf),
    Tcp(u16),
}

/// What becomes of the answer to the append that springs a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Whole,
    Half,
    Lost,
}

struct Trap {
    reply: Reply,
    sprung: oneshot::Sender<()>,
}

struct State {
    target: Target,
    stalled: watch::Sender<bool>,
    /// Cancelled to cut all connections; replaced by a new one then.
    living: Mutex<CancellationToken>,
    trap: Mutex<Option<Trap>>,
    /// How many connections there are.
    open: AtomicUsize,
}

/// Listens until it is dropped.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    end: CancellationToken,
}

impl Proxy {
    pub async fn to(target: Target) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            target,
            stalled: watch::channel(false).0,
            living: Mutex::default(),
            trap: Mutex::default(),
            open: AtomicUsize::default(),
        });
        let end = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&state), end.clone()));
        Self { port, state, end }
    }

    /// Cuts every connection there is; whether there was one.
    pub fn cut(&self) -> bool {
        let open = self.state.open.load(Ordering::SeqCst);
        let mut living = self.state.living.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *living).cancel();
        open > 0
    }

    /// Lets nothing through, new connections included, but keeps them open.
    pub fn stall(&self, stalled: bool) {
        self.state.stalled.send_replace(stalled);
    }

    /// Waits for the next append to be passed on. Its answer comes back like `reply`.
    pub fn next_append(&self, reply: Reply) -> oneshot::Receiver<()> {
        let (sprung, waiting) = oneshot::channel();
        *self.state.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trap { reply, sprung });
        waiting
    }

    pub fn disarm(&self) {
        self.state.trap.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, end: CancellationToken) {
    loop {
        let near = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => near,
                Err(_) => continue,
            },
        };
        let _ = near.set_nodelay(true);
        let living = state.living.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            state.open.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                () = living.cancelled() => {}
                _ = connect(near, &state) => {}
            }
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn connect(near: TcpStream, state: &State) -> io::Result<()> {
    let mut stalled = state.stalled.subscribe();
    stalled.wait_for(|stalled| !stalled).await.map_err(io::Error::other)?;
    match &state.target {
        Target::Unix(path) => carry(near, UnixStream::connect(path).await?, state).await,
        Target::Tcp(port) => {
            let far = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port))).await?;
            let _ = far.set_nodelay(true);
            carry(near, far, state).await
        }
    }
}

async fn carry<S: AsyncRead + AsyncWrite>(near: TcpStream, far: S, state: &State) -> io::Result<()> {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = tokio::io::split(far);
    let (half, lost) = (AtomicBool::new(false), AtomicBool::new(false));
    let up = async {
        let mut stalled = state.stalled.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = near_read.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stalled.wait_for(|stalled| !stalled).await.map_err(io::Error::other)?;
            let bytes = &buffer[..count];
            let trap = if bytes.windows(APPEND.len()).any(|window| window == APPEND) {
                state.trap.lock().unwrap_or_else(PoisonError::into_inner).take()
            } else {
                None
            };
            if let Some(Trap { reply, .. }) = &trap {
                half.store(*reply == Reply::Half, Ordering::SeqCst);
                lost.store(*reply == Reply::Lost, Ordering::SeqCst);
            }
            far_write.write_all(bytes).await?;
            if let Some(Trap { reply, sprung }) = trap {
                let _ = sprung.send(());
                if reply == Reply::Lost {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Ok(());
                }
            }
        }
    };
    let down = async {
        let mut stalled = state.stalled.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = far_read.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stalled.wait_for(|stalled| !stalled).await.map_err(io::Error::other)?;
            if lost.load(Ordering::SeqCst) {
                continue;
            }
            if half.load(Ordering::SeqCst) {
                near_write.write_all(&buffer[..count.div_ceil(2)]).await?;
                return Ok(());
            }
            near_write.write_all(&buffer[..count]).await?;
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}
