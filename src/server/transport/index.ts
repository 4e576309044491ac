// The peer transport: how replicas talk over TCP.

export { TRANSPORT_LIMITS, type TransportCounters, type TransportLimits } from './limits.ts'
export { createTcpNetwork, type TcpNetwork, type TcpNetworkOptions } from './tcp-network.ts'
