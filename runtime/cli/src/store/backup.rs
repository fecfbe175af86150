//! `mainspring store backup` and `restore`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use mainspring_api::mainspring::BackupRequest;
use mainspring_store::{
    Backup, BackupInfo, Committer, Restored, SledOptions, Store, StoreError, check_backup, open_sled,
};
use serde_json::json;

use crate::{
    cli::OutputArgs,
    connect::{ConnectionArgs, refused},
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Args)]
#[command(
    after_help = "The backup holds everything that was acknowledged before it began, of all namespaces, modules \
                        included. It is written beside FILE, read again and checked, and only then given its name. It \
                        holds payloads as they are stored: only its owner may read the file."
)]
pub struct BackupArgs {
    /// The file to write. There must be none of this name
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Back up the data directory of a server that has stopped, instead of asking one that runs
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The backup is checked before anything is written, and the directory after it. A server that is \
                        started on the directory goes on with every run where it was at the moment of the backup: what \
                        activities did after that moment they will do once more. Never run it beside the server that \
                        the backup is of."
)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory to make: one that is empty, or that does not exist
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// A file that gets its name when it is complete, and is gone otherwise.
struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    file: File,
    finished: bool,
}

impl Unfinished {
    fn create(target: &Path) -> anyhow::Result<Unfinished> {
        if target.exists() {
            return Err(anyhow!("{} exists already: give another name", target.display()));
        }
        let mut path = target.as_os_str().to_owned();
        path.push(".unfinished");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Unfinished { path, target: target.to_owned(), file, finished: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("cannot write {}", self.path.display())).map_err(Failure::Failed)
    }

    /// Checks what was written and gives it its name, durably.
    fn finish(mut self) -> anyhow::Result<BackupInfo> {
        self.file.sync_all().with_context(|| format!("cannot fsync {}", self.path.display()))?;
        let info = check_backup(&self.path)?;
        fs::rename(&self.path, &self.target).with_context(|| format!("cannot create {}", self.target.display()))?;
        self.finished = true;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .with_context(|| format!("cannot fsync {}", parent.display()))?;
        Ok(info)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // The failure itself has been told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub async fn backup(args: BackupArgs) -> Outcome {
    let mut file = Unfinished::create(&args.file).map_err(Failure::Usage)?;
    match &args.data_dir {
        Some(dir) => from_directory(dir, &mut file)?,
        None => from_server(&args.connection, &mut file).await?,
    }
    let info = file.finish().map_err(Failure::Failed)?;

    let format = args.output.output;
    if format.is_text() {
        let mut fields = vec![("File", args.file.display().to_string())];
        fields.extend(fields_of(&info));
        return Ok(output::print_text(&output::section("Backup", &fields))?);
    }
    Ok(format.print_json(&json_of(&args.file, &info))?)
}

async fn from_server(connection: &ConnectionArgs, file: &mut Unfinished) -> Outcome {
    let refused = refused("cannot back the server up");
    let mut client = connection.connect().await?;
    let mut chunks = client.operations.backup(BackupRequest {}).await.map_err(&refused)?.into_inner();
    while let Some(message) = chunks.message().await.map_err(&refused)? {
        file.write(&message.chunk)?;
    }
    Ok(())
}

fn from_directory(dir: &Path, file: &mut Unfinished) -> Outcome {
    super::check_not_empty(dir)?;
    let store: Arc<dyn Store> = match open_sled(dir, SledOptions::default()) {
        Ok(store) => Arc::new(store),
        Err(error @ (StoreError::Locked { .. } | StoreError::Io { .. } | StoreError::Version { .. })) => {
            return Err(Failure::usage(error));
        }
        Err(damage) => return Err(Failure::failed(damage)),
    };
    let committer = Arc::new(Committer::start(Arc::clone(&store)));
    for part in Backup::start(store, committer).map_err(Failure::failed)? {
        file.write(&part.map_err(Failure::failed)?)?;
    }
    Ok(())
}

pub fn restore(args: &RestoreArgs) -> Outcome {
    let restored = mainspring_store::restore(&args.file, &args.data_dir, SledOptions::default());
    let Restored { backup, records } = restored.map_err(|error| match error {
        StoreError::NotEmpty { .. } | StoreError::Io { .. } | StoreError::Version { .. } => Failure::usage(error),
        error => Failure::failed(error),
    })?;
    let rows: u64 = records.rows.values().sum();

    let format = args.output.output;
    if format.is_text() {
        let mut fields = vec![("DataDir", args.data_dir.display().to_string())];
        fields.extend(fields_of(&backup));
        fields.push(("Records", format!("{rows} ({} bytes), every checksum read", records.bytes)));
        return Ok(output::print_text(&output::section("Restored", &fields))?);
    }
    let mut json = json_of(&args.file, &backup);
    json["dataDir"] = json!(args.data_dir);
    json["records"] = json!(rows);
    Ok(format.print_json(&json)?)
}

fn began(info: &BackupInfo) -> String {
    // humantime writes no year beyond 9999.
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(info.began.min(latest)).to_string()
}

fn fields_of(info: &BackupInfo) -> Vec<(&'static str, String)> {
    vec![
        ("Began", began(info)),
        ("WrittenBy", format!("mainspring {}", info.program)),
        ("Rows", info.rows.to_string()),
        ("ChangesMeanwhile", info.changes.to_string()),
        ("Bytes", info.bytes.to_string()),
    ]
}

fn json_of(file: &Path, info: &BackupInfo) -> serde_json::Value {
    json!({
        "file": file,
        "began": began(info),
        "writtenBy": info.program,
        "rows": info.rows,
        "changesMeanwhile": info.changes,
        "bytes": info.bytes,
    })
}
