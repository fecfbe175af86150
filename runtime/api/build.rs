//! Generates the server stubs of the services that we serve, and a gate in front of each.
//!
//! The messages are temporalio-protos' own; only the `service` blocks of its descriptor set are compiled here.

use std::{collections::HashMap, env, error::Error, fmt::Write as _, fs, path::Path};

use prost::Message;
use prost_build::{Service, ServiceGenerator};
use prost_types_plain::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

/// The services that this server implements, of all that the descriptor set defines.
const SERVED: [&str; 2] = ["WorkflowService", "OperatorService"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out_dir = env::var("OUT_DIR")?;
    let temporal = fs::read(env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?)?;
    let mut temporal = FileDescriptorSet::decode(temporal.as_slice())?;

    for file in &mut temporal.file {
        let api = file.package().starts_with("temporal.api.");
        file.service.retain(|service| api && SERVED.contains(&service.name()));
    }
    let own = protox::compile(own_protos()?, ["proto"])?;
    let own = FileDescriptorSet::decode(own.encode_to_vec().as_slice())?;

    // Every message that a history or an RPC can hold, for reflection and for canonical JSON.
    let mut all = temporal.clone();
    for file in &own.file {
        if !all.file.iter().any(|known| known.name() == file.name()) {
            all.file.push(file.clone());
        }
    }
    fs::write(Path::new(&out_dir).join("descriptors.bin"), all.encode_to_vec())?;

    let scopes = scopes(&all);
    let stubs = tonic_prost_build::configure().build_client(false).build_transport(false).generate_default_stubs(true);
    prost_build::Config::new()
        .extern_path(".temporal", "::temporalio_protos::temporal")
        .extern_path(".google", "::temporalio_protos::google")
        .extern_path(".grpc", "::temporalio_protos::grpc")
        .extern_path(".coresdk", "::temporalio_protos::coresdk")
        .service_generator(Box::new(Gated { stubs: stubs.service_generator(), scopes: scopes.clone() }))
        .compile_fds(temporal)?;
    let stubs = tonic_prost_build::configure().generate_default_stubs(true);
    prost_build::Config::new()
        .extern_path(".google.protobuf.Timestamp", "::prost_types::Timestamp")
        .service_generator(Box::new(Gated { stubs: stubs.service_generator(), scopes }))
        .compile_fds(own)?;
    Ok(())
}

/// The files of our own services.
fn own_protos() -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir("proto/mainspring/v1")? {
        files.push(format!("mainspring/v1/{}", entry?.file_name().to_string_lossy()));
    }
    files.sort();
    Ok(files)
}

/// What a request says about where it belongs.
#[derive(Clone, Copy)]
struct Scope {
    namespace: bool,
    task_token: bool,
}

/// By the full name of each message, with a dot before it.
fn scopes(set: &FileDescriptorSet) -> HashMap<String, Scope> {
    let has = |message: &DescriptorProto, name: &str, kind: Type| {
        message.field.iter().any(|field| field.name() == name && field.r#type() == kind)
    };
    let scope = |message: &DescriptorProto| Scope {
        namespace: has(message, "namespace", Type::String),
        task_token: has(message, "task_token", Type::Bytes),
    };
    let files = set.file.iter();
    let messages = files.flat_map(|file| file.message_type.iter().map(move |message| (file.package(), message)));
    messages.map(|(package, message)| (format!(".{package}.{}", message.name()), scope(message))).collect()
}

/// Writes tonic's stubs, and behind them a wrapper of the same service that asks a [`Gate`] before each call.
struct Gated {
    stubs: Box<dyn ServiceGenerator>,
    scopes: HashMap<String, Scope>,
}

impl ServiceGenerator for Gated {
    fn generate(&mut self, service: Service, buffer: &mut String) {
        let wrapper = self.wrapper(&service);
        self.stubs.generate(service, buffer);
        buffer.push_str(&wrapper);
    }

    fn finalize(&mut self, buffer: &mut String) {
        self.stubs.finalize(buffer);
    }

    fn finalize_package(&mut self, package: &str, buffer: &mut String) {
        self.stubs.finalize_package(package, buffer);
    }
}

impl Gated {
    fn wrapper(&self, service: &Service) -> String {
        let mut methods = String::new();
        for method in &service.methods {
            let (name, input, output) = (&method.name, &method.input_type, &method.output_type);
            let path = format!("/{}.{}/{}", service.package, service.proto_name, method.proto_name);
            let request = if method.client_streaming { format!("tonic::Streaming<{input}>") } else { input.clone() };
            let response =
                if method.server_streaming { format!("tonic::codegen::BoxStream<{output}>") } else { output.clone() };
            // A stream says where it belongs in its first message, which only its handler sees.
            let scope = self.scopes.get(&method.input_proto_type).filter(|_| !method.client_streaming);
            let part = |has: fn(&Scope) -> bool, field: &str| match scope.is_some_and(has) {
                true => format!("Some(&message.{field})"),
                false => "None".to_owned(),
            };
            let namespace = part(|scope| scope.namespace, "namespace");
            let task_token = part(|scope| scope.task_token, "task_token");
            let _ = write!(
                methods,
                "
        async fn {name}(&self, request: tonic::Request<{request}>)
            -> std::result::Result<tonic::Response<{response}>, tonic::Status>
        {{
            let (metadata, mut extensions, message) = request.into_parts();
            self.gate.admit(crate::gate::Call {{
                method: {path:?},
                namespace: {namespace},
                task_token: {task_token},
                metadata: &metadata,
                extensions: &mut extensions,
            }})?;
            self.service.{name}(tonic::Request::from_parts(metadata, extensions, message)).await
        }}
"
            );
        }
        let name = &service.name;
        let module = snake_case(name);
        format!(
            "
/// The service behind a gate, which is asked before each call.
#[derive(Clone, Debug)]
pub struct Gated{name}<S, G> {{
    pub service: S,
    pub gate: G,
}}

#[tonic::async_trait]
impl<S, G> {module}_server::{name} for Gated{name}<S, G>
where
    S: {module}_server::{name},
    G: crate::gate::Gate,
{{
{methods}
}}
"
        )
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
