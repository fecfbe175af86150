//! What a sandbox may use, and the one place that configures wasmtime.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use mainspring_core::limits::sandbox as defaults;

use crate::ActivityLimits;

/// Longest chain of causes of one failure that a guest may report.
///
/// A failure holds its cause in itself, and a protobuf decoder stops at a depth of 100: a longer chain would make a
/// history that nobody can read.
pub const FAILURE_LINKS_MAX: usize = 50;
/// Most bytes of one call of `random.get-bytes`, as its WIT documentation promises, and of WASI's counterparts.
pub const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// Longest line of a guest's output that is logged whole; a longer one is logged in pieces.
pub const OUTPUT_LINE_BYTES_MAX: usize = 8 * 1024;
/// How much of a guest's latest output a failure quotes: enough for the message of a panic.
pub const OUTPUT_TAIL_BYTES: usize = 2 * 1024;
/// Frames of the guest's stack that a failure shows.
pub const BACKTRACE_FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(20).unwrap();
/// Most instances, memories and tables of one component: a Python component has about 14 core instances.
pub const CORE_INSTANCES_MAX: usize = 64;
/// Most functions of one module, all of its core modules together: SpiderMonkey and CPython have under 40,000.
pub const MODULE_FUNCTIONS_MAX: usize = 200_000;
/// Longest body of one function, in bytes. Compilation time grows faster than the body does.
pub const FUNCTION_BYTES_MAX: usize = 1024 * 1024;
/// Most nested core modules and components of one module.
pub const MODULE_NESTED_MAX: usize = 256;
/// Most imports of one module, and most exports. Ours and WASI's interfaces are under 50.
pub const MODULE_NAMES_MAX: usize = 1_000;
/// Longest name of an import, in bytes.
pub const MODULE_NAME_BYTES_MAX: usize = 256;
/// Longest reason why a module is not valid, in bytes: it may quote any name of the module, and has to fit into an answer.
pub const REASON_BYTES_MAX: usize = 2 * 1024;
/// Most workflow types, or activity types, of one module.
pub const TYPES_MAX: usize = 1_000;
/// Native stack that host calls of an activity may use beside the guest's own.
const HOST_STACK_BYTES: usize = 1024 * 1024;
/// Most bytes of one compiled module. Compiled code is a few times the size of the module that it is of.
pub const ARTIFACT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Most bytes of what a compiler's process says in words.
pub const COMPILER_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// How often the clock ticks that stops guests which have used up their real time.
pub const EPOCH_TICK: Duration = Duration::from_millis(50);

/// What one guest may use.
///
/// All limits but `activation_time` are deterministic: a replayed activation stops at the very place where the live one
/// did. So they belong to a namespace's or module's settings, and lowering one may break runs that need more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestLimits {
    /// Linear memory of one instance, all of its memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of all tables of one instance together.
    pub table_elements: usize,
    /// Fuel of one activation, and of making the instance: about one unit for an instruction.
    pub fuel_per_activation: u64,
    /// Real time of one activation.
    pub activation_time: Duration,
    /// Commands that one activation issues; one that is canceled again counts too.
    pub commands_per_activation: usize,
    /// Encoded bytes of the commands that one activation issues.
    pub command_bytes_per_activation: usize,
    /// Bytes that one activation writes to its log, to stdout and to stderr, together.
    pub log_bytes_per_activation: usize,
}

impl Default for GuestLimits {
    fn default() -> GuestLimits {
        GuestLimits {
            memory_bytes: defaults::MEMORY_BYTES,
            table_elements: defaults::TABLE_ELEMENTS,
            fuel_per_activation: defaults::FUEL_PER_ACTIVATION,
            activation_time: defaults::ACTIVATION_TIME,
            commands_per_activation: defaults::COMMANDS_PER_ACTIVATION,
            command_bytes_per_activation: defaults::COMMAND_BYTES_PER_ACTIVATION,
            log_bytes_per_activation: defaults::LOG_BYTES_PER_ACTIVATION,
        }
    }
}

/// Where modules are compiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// In this process, on a thread of its own: for tools that compile a module of their own user.
    #[default]
    InProcess,
    /// In a process for each module, which is limited and killed at its deadline: for modules of strangers.
    Process {
        /// A program and its arguments, which comes to [`compile_module`](crate::compile_module) with the options that
        /// are appended: `--memory-bytes N --processor-seconds N --stack-bytes N`. It must be of the same build as this
        /// process, or nothing that it compiles fits.
        command: Vec<OsString>,
        /// Address space of the process, in bytes.
        memory_bytes: u64,
    },
}

/// How a [`Sandbox`](crate::Sandbox) is set up. The default is right for a server; a test narrows what it tests.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where compiled modules are kept between starts. Created if need be, with mode 0700. The key that they are sealed
    /// with lies beside it, with the same name and `.key`. None keeps both in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Estimated private memory of all cached instances together, in bytes.
    pub instance_cache_bytes: usize,
    /// Cached instances.
    pub instance_cache_count: usize,
    /// Compiled modules kept in memory.
    pub loaded_modules: usize,
    /// Largest module that is taken, in bytes.
    pub module_bytes: usize,
    /// Where modules are compiled.
    pub compiler: Compiler,
    /// How long compiling one module may take, waiting for its turn included.
    pub compile_time: Duration,
    /// How many modules are compiled at once, each on one thread.
    pub compiles_at_once: usize,
    /// Wasm stack of one activation, in bytes. The thread that calls the sandbox needs 256 KiB more than this of its own.
    pub stack_bytes: usize,
    /// What each guest may use.
    pub limits: GuestLimits,
    /// What activities may use.
    pub activities: ActivityLimits,
    /// Whether log lines of guests name their module, and their run's trace and span.
    pub trace_logs: bool,
}

impl Default for SandboxConfig {
    fn default() -> SandboxConfig {
        SandboxConfig {
            cache_dir: None,
            instance_cache_bytes: defaults::INSTANCE_CACHE_BYTES,
            instance_cache_count: defaults::INSTANCE_CACHE_COUNT,
            loaded_modules: defaults::LOADED_MODULES,
            module_bytes: defaults::MODULE_BYTES,
            compiler: Compiler::InProcess,
            compile_time: defaults::COMPILE_TIME,
            // Half of a small machine's cores: neighbours keep running while somebody deploys.
            compiles_at_once: 2,
            stack_bytes: defaults::STACK_BYTES,
            limits: GuestLimits::default(),
            activities: ActivityLimits::default(),
            trace_logs: false,
        }
    }
}

/// The configuration of every engine. There is no other: a compiled module is only accepted by an engine whose
/// configuration is the same, and a replay is only exact on one that computes the same.
///
/// Instances are allocated on demand. Measured with `examples/sandbox_bench.rs` against the pooling allocator, with a
/// Rust guest: 52 KiB of private memory and 4 mappings for a cached instance, against 57 KiB and 6; the pool only wins
/// where instances come and go, by about 40 µs each. The cache is there so that they do not, and without a pool there are
/// no slots to size for the largest component that anybody may upload. What a pool would have to promise besides comes by
/// itself: an instance's memory is mapped fresh, so that it is zeroed whoever ran before, with guard pages around it.
pub(crate) fn engine_config(sandbox: &SandboxConfig) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    // The same bits on every machine.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(true);
    config.relaxed_simd_deterministic(true);
    config.shared_memory(false);
    // 64-bit memories may not be bounded by the machine's address space alone; no guest toolchain needs them.
    config.wasm_memory64(false);
    // Every guest stops: by fuel, which is deterministic; by the epoch, where fuel does not see the time pass.
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(sandbox.stack_bytes);
    // Of a guest that may block: beside its own stack, what it calls needs some.
    config.async_stack_size(sandbox.stack_bytes.saturating_add(HOST_STACK_BYTES));
    // Compiling is confined to the threads that `compiles_at_once` counts.
    config.parallel_compilation(false);
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    // A fresh instance shares the module's initial memory, until it writes.
    config.memory_init_cow(true);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES_MAX));
    // Exports return before another is called: there is nothing to run concurrently in a store.
    config.concurrency_support(false);
    config
}
