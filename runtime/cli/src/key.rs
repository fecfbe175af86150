//! `mainspring key` and `mainspring whoami`: who may do what.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use mainspring_api::{
    Timestamp,
    mainspring::{ApiKey, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest, WhoAmIRequest},
};
use mainspring_server::AdminKey;
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{ConnectionArgs, refused, unary},
    duration,
    failure::{Failure, Outcome},
    output::{self, section, table},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a key on the server. It is shown this once
    Create(CreateArgs),
    /// List the keys that you may revoke
    List(ListArgs),
    /// Have the server refuse a key from now on
    Revoke(RevokeArgs),
    /// Make a key for a server's configuration, without a server: the first admin's
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What the key is for
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// What the key permits: NAMESPACE:ROLE, with the role read, write, worker or admin. The namespace
    /// temporal-system stands for all. Can be given several times
    #[arg(long = "permission", value_name = "NAMESPACE:ROLE", required = true)]
    permissions: Vec<String>,
    /// When the key ends, from now, such as 90d [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The key's id, as `key list` shows it: 16 digits
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct WhoAmIArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Create(args) => create(args).await,
        Verb::List(args) => list(args).await,
        Verb::Revoke(args) => revoke(args).await,
        Verb::Generate(args) => generate(&args),
    }
}

async fn create(args: CreateArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let expire_time = args.expires.map(|after| Timestamp::from(SystemTime::now() + after));
    let request = CreateApiKeyRequest { name: args.name, permissions: args.permissions, expire_time };
    let created = client.access.create_api_key(unary(request)).await.map_err(refused("cannot make the key"))?;
    let created = created.into_inner();
    let key = created.key.unwrap_or_default();
    if !args.output.output.is_text() {
        let mut json = to_json(&key);
        json["key"] = created.text.into();
        return Ok(args.output.output.print_json(&json)?);
    }
    eprintln!("This is the only time that the key is shown:");
    output::print_text(&created.text)?;
    eprint!("{}", section("Key", &fields(&key)));
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let listed = client.access.list_api_keys(unary(ListApiKeysRequest {})).await;
    let keys = listed.map_err(refused("cannot list the keys"))?.into_inner().keys;
    if !args.output.output.is_text() {
        return Ok(args.output.output.print_json(&keys.iter().map(to_json).collect())?);
    }
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let expires = output::time(key.expire_time.as_ref());
            let expires = if expires.is_empty() { "never".to_owned() } else { expires };
            let permissions = key.permissions.join(" ");
            [key.id.clone(), key.name.clone(), permissions, output::time(key.created_time.as_ref()), expires]
        })
        .collect();
    Ok(output::print_text(&table(["Id", "Name", "Permissions", "Created", "Expires"], &rows))?)
}

async fn revoke(args: RevokeArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = RevokeApiKeyRequest { id: args.id.clone() };
    client.access.revoke_api_key(unary(request)).await.map_err(refused("cannot revoke the key"))?;
    match args.output.output.is_text() {
        true => Ok(output::print_text(&format!("The key {} is refused from now on.", args.id))?),
        false => Ok(args.output.output.print_json(&json!({"id": args.id}))?),
    }
}

fn generate(args: &GenerateArgs) -> Outcome {
    let key = AdminKey::make().map_err(Failure::Failed)?;
    if !args.output.output.is_text() {
        return Ok(args.output.output.print_json(&json!({"key": key.text, "hash": key.hash}))?);
    }
    eprintln!("The key, which is stored nowhere:");
    output::print_text(&key.text)?;
    eprintln!("What the server's configuration needs to know it. It may do everything:\n");
    eprintln!("  [auth]\n  required = true\n  admin_key_hashes = [\"{}\"]", key.hash);
    Ok(())
}

pub async fn who_am_i(args: WhoAmIArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let answer = client.access.who_am_i(unary(WhoAmIRequest {})).await;
    let caller = answer.map_err(refused("cannot ask who you are"))?.into_inner();
    let expires = output::time(caller.expire_time.as_ref());
    if !args.output.output.is_text() {
        let mut json = json!({"principal": caller.principal, "permissions": caller.permissions});
        if !expires.is_empty() {
            json["expireTime"] = expires.into();
        }
        return Ok(args.output.output.print_json(&json)?);
    }
    let fields =
        [("Principal", caller.principal), ("Permissions", caller.permissions.join("\n")), ("Expires", expires)];
    Ok(output::print_text(&section("You are", &fields))?)
}

fn fields(key: &ApiKey) -> [(&'static str, String); 6] {
    [
        ("Id", key.id.clone()),
        ("Name", key.name.clone()),
        ("Permissions", key.permissions.join("\n")),
        ("Created", output::time(key.created_time.as_ref())),
        ("Created by", key.created_by.clone()),
        ("Expires", output::time(key.expire_time.as_ref())),
    ]
}

fn to_json(key: &ApiKey) -> Value {
    let mut json = json!({
        "id": key.id,
        "name": key.name,
        "permissions": key.permissions,
        "createdTime": output::time(key.created_time.as_ref()),
        "createdBy": key.created_by,
    });
    if key.expire_time.is_some() {
        json["expireTime"] = output::time(key.expire_time.as_ref()).into();
    }
    json
}
