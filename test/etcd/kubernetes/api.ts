// A client of a Kubernetes API server, in JSON: requests, and watches that continue after their ends.

import { once } from 'node:events'
import { Agent, type RequestOptions, request } from 'node:https'
import { createInterface } from 'node:readline'

export interface KubeObject {
  readonly kind?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

export interface Reply {
  readonly status: number
  readonly body: KubeObject
}

export interface KubeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeObject
}

const REQUEST_MS_MAX = 60_000

export class Api {
  readonly url: string
  /** PEM: the certificate of the server, and those of the client. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly #options: RequestOptions

  constructor({ port, ...tls }: { readonly port: number } & Api['tls']) {
    this.url = `https://127.0.0.1:${port}`
    this.tls = tls
    const agent = new Agent({ keepAlive: true, maxSockets: 64 })
    this.#options = { host: '127.0.0.1', port, ...tls, agent, headers: { accept: 'application/json' } }
  }

  close(): void {
    const { agent } = this.#options
    if (agent instanceof Agent) agent.destroy()
  }

  /** Rejects when no answer arrives: then the outcome of a write is unknown. */
  async request(method: string, path: string, body?: object, type = 'application/json'): Promise<Reply> {
    const headers = { accept: 'application/json', 'content-type': type }
    const sent = request({ ...this.#options, method, path, headers, timeout: REQUEST_MS_MAX })
    sent.on('timeout', () => sent.destroy(new Error('no answer')))
    sent.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = await once(sent, 'response')
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    const isJson = response.headers['content-type']?.startsWith('application/json')
    return { status: response.statusCode, body: isJson ? JSON.parse(text) : { metadata: { name: text } } }
  }

  /** All objects, in pages. */
  async list(
    path: string,
    limit = 500,
  ): Promise<{ readonly items: KubeObject[]; readonly revision: string }> {
    const items: KubeObject[] = []
    let next = ''
    for (;;) {
      const { status, body } = await this.request(
        'GET',
        `${path}?limit=${limit}&continue=${encodeURIComponent(next)}`,
      )
      if (status !== 200) throw new Error(`list ${path}: ${status} ${JSON.stringify(body)}`)
      items.push(...(Object(body).items ?? []))
      next = String(body.metadata.continue ?? '')
      if (next === '') return { items, revision: String(body.metadata.resourceVersion) }
    }
  }

  /** Calls `onEvent` for each event after the revision, until the signal. It continues where a watch has ended. */
  async watch(
    path: string,
    from: string,
    signal: AbortSignal,
    onEvent: (event: KubeEvent) => void,
  ): Promise<void> {
    let revision = from
    while (!signal.aborted) {
      const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${revision}`
      const sent = request({ ...this.#options, agent: undefined, path: `${path}?${query}`, signal }).end()
      const opened = await once(sent, 'response').catch(() => undefined)
      if (opened === undefined) continue
      const [response] = opened
      response.on('error', () => {})
      try {
        for await (const line of createInterface(response)) {
          const event: KubeEvent = JSON.parse(line)
          if (event.type === 'ERROR' || response.statusCode !== 200) {
            if (response.statusCode < 500) throw new Error(`watch ${path} from ${revision}: ${line}`)
            break
          }
          revision = event.object.metadata.resourceVersion ?? revision
          onEvent(event)
        }
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('watch ')) throw error
      }
      sent.destroy()
    }
  }
}
