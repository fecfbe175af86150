//! The bounds of the server itself, each with its reason. Those of runs and guests are in `mainspring_core::limits`.

use std::time::Duration;

use mainspring_core::limits::temporal;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Default of `shards`: each is one writer, and a few keep a small machine's processors busy.
pub const SHARDS: u16 = 8;
/// Default of `runs_in_memory_per_shard`: a few KiB each.
pub const RUNS_IN_MEMORY_PER_SHARD: usize = 4_096;
/// Default of `grpc_message_bytes`: Temporal's own, which SDKs know to stay below.
pub const GRPC_MESSAGE_BYTES: usize = 4 * MIB;
/// The least that `grpc_message_bytes` may be: a payload of the largest size, and what goes around it.
pub const GRPC_MESSAGE_BYTES_MIN: usize = temporal::PAYLOAD_BYTES + 256 * KIB;
/// Default of `drain_time`: longer than any commit takes, shorter than what a supervisor waits before it kills.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Calls under way on one connection. SDKs put all their polls and starts on one.
pub const STREAMS_PER_CONNECTION: u32 = 16_384;
/// Calls that a client may give up before the server has looked at them: a worker that stops gives up all its polls.
pub const ABANDONED_STREAMS: usize = 1_024;
/// How often a silent connection is asked whether its client still lives, and how long the answer may take. A dead
/// client's polls hold tasks back until then.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// A held call is answered this long before its client would give up, or a quarter of its time where that is less.
pub const RETURN_TIME: Duration = Duration::from_secs(1);
/// Most bytes of events on one page of history: clients refuse messages that are not much larger than this.
pub const HISTORY_PAGE_BYTES: usize = 3 * MIB;

/// Largest piece of a module in one message of an upload or download.
pub const CHUNK_BYTES: usize = MIB;
/// Pieces of a backup that are read before its client has taken those before them.
pub const BACKUP_CHUNKS_AHEAD: usize = 4;
/// Uploads under way: each holds a whole module in memory.
pub const UPLOADS: usize = 4;
/// How long an upload may wait for its turn, and for its next piece.
pub const UPLOAD_WAIT: Duration = Duration::from_secs(30);
/// Modules, or deployments, on one page of a list.
pub const MODULES_PAGE: usize = 100;
/// How often uploads that nobody has gone on with are looked for.
pub const EXPIRE_UPLOADS_EVERY: Duration = Duration::from_secs(60 * 60);
/// The shortest prefix that may stand for a module's digest, in hexadecimal digits.
pub const DIGEST_PREFIX_MIN: usize = 8;

/// Default of `telemetry.queue`: some seconds of a busy server, at a few hundred bytes each.
pub const TELEMETRY_QUEUE: usize = 8_192;
/// The most that `telemetry.queue` may be: each log line may have some times [`TELEMETRY_TEXT_BYTES`].
pub const TELEMETRY_QUEUE_MAX: usize = 1_000_000;
/// Default of `telemetry.timeout`, as OpenTelemetry has it.
pub const TELEMETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Spans, or log lines, that are sent together. Collectors take 4 MiB unless they are told otherwise.
pub const TELEMETRY_BATCH: usize = 256;
/// How long the first of a batch waits for others.
pub const TELEMETRY_LINGER: Duration = Duration::from_secs(1);
/// How long a server that stops goes on sending what waits.
pub const TELEMETRY_FLUSH_TIME: Duration = Duration::from_secs(3);
/// As much of a log line's message, and of each of its fields, as is sent, in bytes.
pub const TELEMETRY_TEXT_BYTES: usize = 4 * KIB;

/// Permissions of one key or token.
pub const PERMISSIONS: usize = 1_000;
/// Longest `authorization` header that is looked at, in bytes: a token with all its permissions.
pub const AUTHORIZATION_BYTES: usize = 64 * KIB;
/// Longest name of an API key, in bytes.
pub const API_KEY_NAME_BYTES: usize = 256;
/// Tokens whose signature need not be checked again; the others' is. A few hundred bytes each.
pub const TOKENS_REMEMBERED: usize = 10_000;
/// How far the clocks of a token's issuer and of this server may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Largest set of token keys, in bytes.
pub const JWKS_BYTES: u64 = MIB as u64;
/// How long fetching them may take.
pub const JWKS_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to say who it is, when it connects.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// Calls that were refused at the gate for their credentials of which the log tells, each second.
pub const REFUSALS_LOGGED: u32 = 20;
/// How long the answer to a call that would be too much is held: who floods a connection then waits for its own answers.
/// SDKs wait longer than that by themselves.
pub const REFUSAL_HELD: Duration = Duration::from_millis(50);
