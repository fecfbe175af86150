//! `wasi:sockets`: no socket and no network can be had, so no other call of these interfaces can be made.

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::{
    IoError, Network, SocketError, SocketResult, TcpSocket, UdpSocket,
    bindings::{
        sockets::{
            instance_network,
            network::{self, ErrorCode, HostNetwork, IpAddressFamily},
            tcp_create_socket,
        },
        sync::sockets::udp_create_socket,
    },
};

use super::{super::HostState, refuse};

const ACTIVITY_INSTEAD: &str = "it has no network; call an activity that does";

pub fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    instance_network::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    tcp_create_socket::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)?;
    udp_create_socket::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
}

impl network::Host for HostState {
    fn network_error_code(&mut self, _error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }

    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl HostNetwork for HostState {
    fn drop(&mut self, _network: Resource<Network>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl instance_network::Host for HostState {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Err(refuse("wasi:sockets/instance-network.instance-network", ACTIVITY_INSTEAD).into())
    }
}

impl tcp_create_socket::Host for HostState {
    fn create_tcp_socket(&mut self, _family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let fault = refuse("wasi:sockets/tcp-create-socket.create-tcp-socket", ACTIVITY_INSTEAD);
        Err(SocketError::trap(fault))
    }
}

impl udp_create_socket::Host for HostState {
    fn create_udp_socket(&mut self, _family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let fault = refuse("wasi:sockets/udp-create-socket.create-udp-socket", ACTIVITY_INSTEAD);
        Err(SocketError::trap(fault))
    }
}
