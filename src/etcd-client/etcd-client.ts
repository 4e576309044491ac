// The client of quorate, for a cluster of etcd.

import { Client } from '../client/client.ts'
import { TlsSource } from '../client/tls.ts'
import type { ClientOptions } from '../client/types.ts'
import { EtcdTransport } from './etcd-transport.ts'

export interface EtcdClientOptions
  extends Pick<
    ClientOptions,
    'tls' | 'user' | 'password' | 'token' | 'timeoutMs' | 'unreachableAfterMs' | 'callsMax' | 'onWarning'
  > {
  /** URLs of one or more members: `http://127.0.0.1:2379`, `127.0.0.1:2379`, or `https://…`. */
  readonly endpoints: readonly string[]
  /** Learn the addresses that the members advertise. Default false: only `endpoints` are used. */
  readonly discover?: boolean | undefined
}

/**
 * A client of an etcd cluster, with the calls of `Client`, which the recipes use. Calls for which etcd has nothing
 * throw `bad_request`. etcd knows no change by a name: after a lost answer, the outcome of a change is unknown.
 */
export class EtcdClient extends Client {
  constructor(options: EtcdClientOptions) {
    const { discover = false, onWarning, tls } = options
    const warn = onWarning ?? ((message) => process.emitWarning(message, 'QuorateWarning'))
    super({ ...options, discover, transport: 'http' }, new EtcdTransport(new TlsSource(tls, warn)))
  }
}
