// The transport of the client to etcd: each operation as RPCs of etcd's API, over one connection to each endpoint.

import type { ClientOperation, OperationRequest } from '../client/client-operation.ts'
import type { Endpoint } from '../client/endpoints.ts'
import { secureOptions, type TlsSource } from '../client/tls.ts'
import type { SendOptions, SendOutcome, Transport } from '../client/transport/transport.ts'
import type { ClientTls } from '../client/types.ts'
import { Attempt } from './attempt.ts'
import { GrpcClient } from './grpc-client.ts'
import { findOperation } from './operations/index.ts'
import { notInEtcd } from './problems.ts'

interface Link {
  readonly client: GrpcClient
  /** The certificates of its connection. */
  readonly tls: ClientTls
}

export class EtcdTransport implements Transport {
  /** etcd has no tokens for changes. */
  readonly cannotNameChanges = true
  readonly #tls: TlsSource
  readonly #links = new Map<string, Link>()
  readonly #attempts = new Set<{ giveUp(why: string): void }>()

  constructor(tls: TlsSource) {
    this.#tls = tls
  }

  get inFlight(): number {
    return this.#attempts.size
  }

  send<Q extends OperationRequest, R>(
    endpoint: Endpoint,
    _operation: ClientOperation<Q, R>,
    request: Q,
    options: SendOptions,
  ): Promise<SendOutcome<R>> {
    options.seal?.()
    const operation = findOperation<Q, R>(request)
    return new Promise((resolve) => {
      const attempt = new Attempt<R>(this.#find(endpoint), endpoint, options, (outcome) => {
        this.#attempts.delete(attempt)
        resolve(outcome)
      })
      this.#attempts.add(attempt)
      void attempt.run(operation ?? (() => Promise.reject(notInEtcd(request.kind))), request)
    })
  }

  close(): void {
    for (const attempt of this.#attempts) attempt.giveUp('the client was closed')
    for (const { client } of this.#links.values()) client.close()
    this.#links.clear()
  }

  #find({ url, host, isSecure }: Endpoint): GrpcClient {
    const known = this.#links.get(url)
    const tls = this.#tls.current
    if (known !== undefined && (!isSecure || known.tls === tls)) return known.client
    known?.client.retire()
    const client = new GrpcClient({ endpoint: url, tls: isSecure ? secureOptions(tls, host) : undefined })
    this.#links.set(url, { client, tls })
    return client
  }
}
