// Options of every TLS connection of a node.

import { constants } from 'node:crypto'

/**
 * No session is resumed: a resumed session would skip the check of the certificate against the newest CA and the newest
 * revocation list. No renegotiation: a client could make the node do the expensive part again and again.
 */
export const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION

/** `h2` follows with the interface for clients of etcd. */
export const ALPN_PROTOCOLS = ['http/1.1']
