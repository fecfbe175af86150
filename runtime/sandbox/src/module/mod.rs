//! Modules: accepting them, compiling them, and keeping them compiled.
//!
//! [`scan`] looks at a file before anything is compiled; `compile` bounds compilation, `process` and `child` being the two
//! ends of a compiler in a process of its own; `artifact` decides which compiled code is loaded, with `key`, and keeps it
//! on disk; [`Modules`] keeps it in memory and is where the others meet.

mod artifact;
pub(crate) mod child;
mod compile;
mod key;
mod process;
mod scan;

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use mainspring_core::limits::temporal::ID_BYTES;
use parking_lot::{Condvar, Mutex};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

pub(crate) use self::compile::reason;
use self::{artifact::Artifacts, compile::Compilers, scan::Scanned};
use crate::{
    Digest, GuestLimits, ModuleBytes, ModuleDescription, ModuleError, ModuleKind, SandboxConfig, SandboxError,
    TaskFailure, TaskFailureKind,
    activity::{ActivityModule, ActivityWorld},
    bindings::WorkflowPre,
    config::TYPES_MAX,
    host::{self, HostState},
    instance::Guest,
};

/// A module that is ready to run.
pub struct Module {
    pub digest: Digest,
    pub pre: WorkflowPre<HostState>,
    pub workflow_types: Vec<String>,
}

impl Module {
    pub fn holds(&self, workflow_type: &str) -> bool {
        self.workflow_types.iter().any(|name| name == workflow_type)
    }
}

/// A module of either kind.
#[derive(Clone)]
pub enum Loaded {
    Workflows(Arc<Module>),
    Activities(Arc<ActivityModule>),
}

impl Loaded {
    pub fn workflows(self) -> Result<Arc<Module>, String> {
        match self {
            Loaded::Workflows(module) => Ok(module),
            Loaded::Activities(_) => Err("it holds activities, not workflows".into()),
        }
    }

    pub fn activities(self) -> Result<Arc<ActivityModule>, String> {
        match self {
            Loaded::Activities(module) => Ok(module),
            Loaded::Workflows(_) => Err("it holds workflows, not activities".into()),
        }
    }
}

/// All modules that this sandbox knows.
pub struct Modules {
    engine: Engine,
    linker: Linker<HostState>,
    config: SandboxConfig,
    limits: Arc<GuestLimits>,
    activities: Arc<ActivityWorld>,
    loaded: Mutex<LruCache<Digest, Loaded>>,
    /// Modules that some thread is loading: the others wait for it instead of compiling the same once more.
    loading: Mutex<HashSet<Digest>>,
    loading_done: Condvar,
    artifacts: Artifacts,
    compilers: Compilers,
}

impl Modules {
    pub fn new(
        engine: Engine,
        config: SandboxConfig,
        limits: Arc<GuestLimits>,
        activities: Arc<ActivityWorld>,
    ) -> Result<Modules, SandboxError> {
        let linker = host::linker(&engine).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let artifacts = Artifacts::open(config.cache_dir.as_deref(), &engine)?;
        let count = NonZeroUsize::new(config.loaded_modules).unwrap_or(NonZeroUsize::MIN);
        Ok(Modules {
            compilers: Compilers::new(&engine, &config),
            loaded: Mutex::new(LruCache::new(count)),
            loading: Mutex::default(),
            loading_done: Condvar::new(),
            engine,
            linker,
            config,
            limits,
            activities,
            artifacts,
        })
    }

    pub fn loaded_count(&self) -> usize {
        self.loaded.lock().len()
    }

    pub fn compiling_count(&self) -> usize {
        self.compilers.running()
    }

    /// Accepts or refuses a module. Nothing is kept of one that is refused.
    pub fn load(&self, bytes: &[u8]) -> Result<(Loaded, ModuleDescription), ModuleError> {
        let limit = self.config.module_bytes;
        if bytes.len() > limit {
            return Err(ModuleError::TooLarge { bytes: bytes.len() as u64, limit: limit as u64 });
        }
        let Scanned { kind, imports, language } = scan::scan(bytes)?;
        let digest = Digest::of(bytes);
        let module = self.single_flight(&digest, || match self.load_artifact(kind, &digest) {
            Some(module) => Ok(module),
            None => self.compile(kind, digest, bytes),
        })?;
        let (workflow_types, activity_types) = match &module {
            Loaded::Workflows(module) => (module.workflow_types.clone(), Vec::new()),
            Loaded::Activities(module) => (Vec::new(), module.activity_types.clone()),
        };
        let size_bytes = bytes.len() as u64;
        let language = language.to_owned();
        let description = ModuleDescription { digest, size_bytes, workflow_types, activity_types, imports, language };
        Ok((module, description))
    }

    /// The module of workflows with this digest, from wherever it is found first.
    pub fn get(&self, digest: &Digest, modules: &dyn ModuleBytes) -> Result<Arc<Module>, TaskFailure> {
        let module = self.find(ModuleKind::Workflows, digest, modules)?;
        module.workflows().map_err(|problem| unusable(digest, &problem))
    }

    /// The module of activities with this digest, likewise. Blocks; not for async code.
    pub fn get_activities(
        &self,
        digest: &Digest,
        modules: &dyn ModuleBytes,
    ) -> Result<Arc<ActivityModule>, TaskFailure> {
        let module = self.find(ModuleKind::Activities, digest, modules)?;
        module.activities().map_err(|problem| unusable(digest, &problem))
    }

    /// `kind` is what it should be: of compiled code nobody can tell.
    fn find(&self, kind: ModuleKind, digest: &Digest, modules: &dyn ModuleBytes) -> Result<Loaded, TaskFailure> {
        let unusable = |problem: String| unusable(digest, &problem);
        self.single_flight(digest, || {
            if let Some(module) = self.load_artifact(kind, digest) {
                return Ok(module);
            }
            let bytes = modules
                .module_bytes(digest)
                .map_err(|problem| {
                    TaskFailure::new(TaskFailureKind::Host, format!("module {digest} cannot be read: {problem}"))
                })?
                .ok_or_else(|| TaskFailure::module_missing(digest))?;
            let found = Digest::of(&bytes);
            if found != *digest {
                return Err(unusable(format!("the store has other bytes under its name, whose digest is {found}")));
            }
            let compiled = scan::scan(&bytes).and_then(|scanned| self.compile(scanned.kind, *digest, &bytes));
            compiled.map_err(|error| match error.is_transient() {
                true => TaskFailure::new(TaskFailureKind::Host, format!("module {digest}: {error}")),
                false => unusable(error.to_string()),
            })
        })
    }

    /// Lets go of what was compiled of a module. It is compiled again when it is needed again.
    pub fn forget(&self, digest: &Digest) {
        self.loaded.lock().pop(digest);
        self.artifacts.remove(digest);
    }

    /// Finds the module in memory, or lets exactly one thread make it.
    fn single_flight<E>(&self, digest: &Digest, make: impl FnOnce() -> Result<Loaded, E>) -> Result<Loaded, E> {
        {
            let mut loading = self.loading.lock();
            loop {
                if let Some(module) = self.loaded.lock().get(digest) {
                    return Ok(module.clone());
                }
                if loading.insert(*digest) {
                    break;
                }
                self.loading_done.wait(&mut loading);
            }
        }
        // Also where `make` panics: the threads that wait must not wait for ever.
        let _done = OnDrop(|| {
            self.loading.lock().remove(digest);
            self.loading_done.notify_all();
        });
        let module = make()?;
        self.loaded.lock().put(*digest, module.clone());
        Ok(module)
    }

    fn load_artifact(&self, kind: ModuleKind, digest: &Digest) -> Option<Loaded> {
        let component = self.artifacts.load(digest)?;
        match self.finish(kind, *digest, &component) {
            Ok(module) => Some(module),
            Err(error) => {
                tracing::warn!(%digest, %error, "a compiled module on disk is of no use; compiling it again");
                None
            }
        }
    }

    fn compile(&self, kind: ModuleKind, digest: Digest, bytes: &[u8]) -> Result<Loaded, ModuleError> {
        let code = self.compilers.compile(bytes)?;
        let sealed = self.artifacts.seal(&digest, &code);
        drop(code);
        let component = self.artifacts.unseal(&digest, &sealed);
        let component = component
            .map_err(|problem| ModuleError::Compile(format!("what the compiler made cannot be loaded: {problem}")))?;
        let module = self.finish(kind, digest, &component)?;
        self.artifacts.save(&digest, &sealed);
        Ok(module)
    }

    /// Checks the types of imports and exports, and asks the module what it holds.
    fn finish(&self, kind: ModuleKind, digest: Digest, component: &Component) -> Result<Loaded, ModuleError> {
        if kind == ModuleKind::Activities {
            let module = self.activities.accept(digest, component)?;
            check_types(&module.activity_types, ModuleError::NoActivities)?;
            return Ok(Loaded::Activities(Arc::new(module)));
        }
        let wrong_type =
            |error: wasmtime::Error| ModuleError::WrongType { kind, problem: reason(format!("{error:#}")) };
        let pre = self.linker.instantiate_pre(component).map_err(wrong_type)?;
        let pre = WorkflowPre::new(pre).map_err(wrong_type)?;
        let described = Guest::describe(&self.engine, &pre, &self.config, &self.limits);
        let workflow_types = described.map_err(|crash| ModuleError::Describe(crash.fault.message))?;
        check_types(&workflow_types, ModuleError::NoWorkflows)?;
        Ok(Loaded::Workflows(Arc::new(Module { digest, pre, workflow_types })))
    }
}

fn unusable(digest: &Digest, problem: &str) -> TaskFailure {
    TaskFailure::new(TaskFailureKind::ModuleUnusable, format!("module {digest} cannot be loaded: {problem}"))
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn check_types(names: &[String], none: ModuleError) -> Result<(), ModuleError> {
    if names.is_empty() {
        return Err(none);
    }
    if names.len() > TYPES_MAX {
        return Err(ModuleError::TooComplex {
            what: "too many types",
            count: names.len() as u64,
            limit: TYPES_MAX as u64,
        });
    }
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(ModuleError::BadType("one has no name".into()));
        }
        if name.len() > ID_BYTES {
            return Err(ModuleError::BadType(format!("one has {} bytes; the limit is {ID_BYTES}", name.len())));
        }
        if !seen.insert(name) {
            return Err(ModuleError::BadType(format!("{name:?} is there twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_a_name_of_their_own() {
        let check = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            check_types(&names, ModuleError::NoWorkflows)
        };
        assert_eq!(check(&["A", "B"]), Ok(()));
        assert_eq!(check(&[]), Err(ModuleError::NoWorkflows));
        assert!(matches!(check(&["A", "A"]), Err(ModuleError::BadType(_))));
        assert!(matches!(check(&[""]), Err(ModuleError::BadType(_))));
        assert!(matches!(check(&[&"x".repeat(1_001)]), Err(ModuleError::BadType(_))));
    }
}
