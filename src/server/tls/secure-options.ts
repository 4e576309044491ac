// Options of every TLS connection of a node.

import { constants } from 'node:crypto'

/**
 * No session is resumed: a resumed session would skip the check of the certificate against the newest CA and the newest
 * revocation list. No renegotiation: a client could make the node do the expensive part again and again.
 */
export const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION

/**
 * Protocols that a handshake agrees on (ALPN). The first one of the server that the client offers as well is chosen, so
 * browsers and other clients that offer both speak HTTP/1.1. Clients of gRPC offer only HTTP/2.
 */
export const HTTP1 = 'http/1.1'
export const HTTP2 = 'h2'
