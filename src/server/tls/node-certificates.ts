// All TLS files of one node: those of its client port and those for its peers.

import { X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { foundText } from '../../certificates/handshake-faults.ts'
import { hostPort } from '../../system/addresses.ts'
import {
  type CertificateExpiry,
  type ListenAddress,
  type Logger,
  NodeStartError,
  type NodeTls,
  type PeerTls,
} from '../options.ts'
import type { ListenerTls } from './handshakes.ts'
import { objectionToPeer } from './identity.ts'
import { TlsFileError, TlsFiles, type TlsFilesOptions, type TlsPaths } from './tls-files.ts'

interface CertificateOptions {
  readonly name: string
  readonly peerListen: ListenAddress
  readonly advertisePeer?: string | undefined
  readonly tls?: NodeTls | undefined
  readonly peerTls?: PeerTls | undefined
}

export class NodeCertificates {
  readonly clientPort: TlsFiles | undefined
  readonly peers: TlsFiles | undefined
  readonly #clientCert: NodeTls['clientCert']

  /** Rejects with `NodeStartError` when the files cannot be used. */
  static async open(
    { name, peerListen, advertisePeer: peer = hostPort(peerListen), tls, peerTls }: CertificateOptions,
    logger: Logger,
  ): Promise<NodeCertificates> {
    const opened: TlsFiles[] = []
    const openFiles = async (
      paths: TlsPaths | undefined,
      rules: Pick<TlsFilesOptions, 'objection' | 'isOwnAuthority'> = {},
    ): Promise<TlsFiles | undefined> => {
      if (paths === undefined) return undefined
      const files = await TlsFiles.open(absolute(paths), { logger, ...rules })
      opened.push(files)
      return files
    }
    try {
      // Its peers would refuse it for the same reasons.
      const peers = await openFiles(peerTls, {
        objection: (certificate) => objectionToPeer(certificate, { name, peer }),
        isOwnAuthority: true,
      })
      return new NodeCertificates(await openFiles(tls), peers, tls?.clientCert)
    } catch (error) {
      for (const files of opened) files.close()
      throw error instanceof TlsFileError ? new NodeStartError(error.message) : error
    }
  }

  private constructor(
    clientPort: TlsFiles | undefined,
    peers: TlsFiles | undefined,
    clientCert: NodeTls['clientCert'],
  ) {
    this.clientPort = clientPort
    this.peers = peers
    this.#clientCert = clientCert
  }

  /** undefined: the client port speaks no TLS. */
  get listener(): ListenerTls | undefined {
    const { clientPort: files, peers: peerFiles } = this
    if (files === undefined) return undefined
    // Nodes that join show their certificates too.
    const isAsked = files.paths.ca !== undefined || peerFiles !== undefined
    return { files, peerFiles, clientCert: isAsked ? (this.#clientCert ?? 'optional') : undefined }
  }

  /**
   * Options of requests to the client ports of other nodes: this node shows its certificate for peers, and trusts the
   * CAs of peers and of clients.
   */
  get requests(): ConnectionOptions {
    const shown = (this.peers ?? this.clientPort)?.secureOptions
    if (shown === undefined) return {}
    const ca = [this.peers, this.clientPort].flatMap((files) => files?.secureOptions.ca ?? [])
    const { ca: _, ...options } = shown
    return {
      ...options,
      ...(ca.length === 0 ? {} : { ca }),
      checkServerIdentity: (host, certificate) =>
        checkServerIdentity(host, certificate) ?? this.#findRevocation(certificate.raw),
    }
  }

  #findRevocation(der: Uint8Array): Error | undefined {
    const certificate = new X509Certificate(der)
    for (const files of this.#all) {
      const fault = files.refusalIfSigned(certificate)
      if (fault !== undefined) return new Error(foundText(fault))
    }
    return undefined
  }

  expiries(): readonly CertificateExpiry[] {
    const seen = new Map(this.#all.flatMap((files) => files.expiries()).map((each) => [each.file, each]))
    return [...seen.values()]
  }

  async reread(): Promise<void> {
    await Promise.all(this.#all.map((files) => files.reread()))
  }

  close(): void {
    for (const files of this.#all) files.close()
  }

  get #all(): readonly TlsFiles[] {
    return [this.clientPort, this.peers].filter((files) => files !== undefined)
  }
}

/** The application may change its working directory. */
function absolute({ cert, key, ca, crl }: TlsPaths): TlsPaths {
  return {
    cert: resolve(cert),
    key: resolve(key),
    ca: ca === undefined ? undefined : resolve(ca),
    crl: crl === undefined ? undefined : resolve(crl),
  }
}
