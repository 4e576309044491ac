// The certificates of a client.

/** Certificates and a key in PEM. */
export interface ClientTls {
  /** The CAs that may sign the certificates of nodes. Default: those that Node.js knows. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** The client's own certificate, where nodes ask for one. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** The name that the certificate of each node must have, instead of the host in its URL. */
  readonly servername?: string | undefined
}
