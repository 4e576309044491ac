// Requests between processes of a service: `fetch` on one side, a handler of `(Request) → Response` on the other. They
// travel over the network of the clients, with its delays, losses and cuts.

import { neverSettled, type VirtualProcess } from '../processes.ts'
import type { ClientNetwork } from './client-network.ts'

/** Delay after which a caller learns that its connection was refused or reset. */
const TOLD_MS = 5
/** How long a caller waits for the head of an answer, as in Node.js. */
const ANSWER_MS_MAX = 300_000
/** Statuses whose answers have no body. */
const BODILESS = [101, 103, 204, 205, 304]
const REDIRECTS = [301, 302, 303, 307, 308]
/** As in Node.js. */
const REDIRECTS_MAX = 20
/** Headers that a redirect drops: of a body that is not sent again, and of credentials for another origin. */
const OF_BODY = ['content-encoding', 'content-language', 'content-length', 'content-location', 'content-type']
const OF_ORIGIN = ['authorization', 'cookie', 'host', 'proxy-authorization']

export type Handler = (request: Request) => Response | Promise<Response>

interface Server {
  readonly process: VirtualProcess
  readonly handler: Handler
}

/** A request without an answer. */
interface Pending {
  readonly caller: VirtualProcess
  readonly server: VirtualProcess | undefined
  readonly fail: (cause: Error) => void
}

/** Creates the error of a call of `fetch`. */
type FailedFetch = (cause: Error) => TypeError

/** A request on its way. */
interface Sent {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer> | undefined
}

export interface RequestObserver {
  /** A process has sent a request, such as "POST http://mail/send". */
  sent(caller: VirtualProcess, request: string): void
  /** The handler of a process has thrown. */
  threw(process: VirtualProcess, error: unknown): void
}

export class ProcessRequests {
  readonly #network: ClientNetwork
  readonly #observer: RequestObserver
  readonly #servers = new Map<string, Server>()
  readonly #pending = new Set<Pending>()

  constructor(network: ClientNetwork, observer: RequestObserver) {
    this.#network = network
    this.#observer = observer
  }

  get isBusy(): boolean {
    return this.#pending.size > 0
  }

  /** From now on the process answers requests to its name. Call the result to end that. */
  serve(process: VirtualProcess, handler: Handler): () => void {
    const host = hostOf(process.name)
    if (host !== process.name.toLowerCase())
      throw new RangeError(`connect: no host has the name ${process.name}: use letters, digits, - and .`)
    const holder = this.#servers.get(host)?.process
    if (holder === process) throw new RangeError(`connect: ${process.name} has a handler already`)
    if (holder !== undefined)
      throw new RangeError(`connect: ${process.name} is the same host as ${holder.name}: hosts have no case`)
    const server = { process, handler }
    if (process.live) this.#servers.set(host, server)
    return () => {
      if (this.#servers.get(host) === server) this.#servers.delete(host)
    }
  }

  /** A process is gone, and so are its connections. */
  left(process: VirtualProcess): void {
    for (const [host, server] of this.#servers) if (server.process === process) this.#servers.delete(host)
    for (const pending of this.#pending) {
      if (pending.caller === process) this.#pending.delete(pending)
      else if (pending.server === process) this.#reset(pending, process.name)
    }
  }

  #reset({ caller, fail }: Pending, server: string): void {
    const cause = systemError('ECONNRESET', 'the connection was reset')
    this.#network.whenWhole(server, caller.name, () => caller.after(TOLD_MS, () => fail(cause)))
  }

  openOf(process: VirtualProcess): number {
    return [...this.#pending].filter(({ caller }) => caller === process).length
  }

  /** Sends a request of a process, and follows redirects, as `fetch` does. */
  async fetch(caller: VirtualProcess, request: Request): Promise<Response> {
    const { signal, method, url } = request
    // Its stack shows the caller.
    const failure = new TypeError('fetch failed')
    const failed: FailedFetch = (cause) => Object.defineProperty(failure, 'cause', { value: cause })
    signal.throwIfAborted()
    const body = request.body === null ? undefined : await readBody(request.body, signal, failed)
    signal.throwIfAborted()
    let sent: Sent = { url, method, headers: new Headers(request.headers), body }
    for (let redirects = 0; ; redirects++) {
      if (!caller.live) return neverSettled()
      const response = await this.#send(caller, sent, signal, failed)
      const location = REDIRECTS.includes(response.status) ? response.headers.get('location') : null
      if (location === null || request.redirect === 'manual')
        return Object.defineProperties(response, {
          url: { value: sent.url },
          redirected: { value: redirects > 0 },
        })
      if (request.redirect === 'error') throw failed(new Error('unexpected redirect'))
      if (redirects === REDIRECTS_MAX) throw failed(new Error('redirect count exceeded'))
      sent = redirected(sent, response.status, location, failed)
    }
  }

  #send(caller: VirtualProcess, sent: Sent, signal: AbortSignal, failed: FailedFetch): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const host = new URL(sent.url).hostname
    const server = this.#servers.get(host)?.process
    const end = (settle: () => void): void => {
      if (!this.#pending.delete(pending)) return
      late.cancel()
      signal.removeEventListener('abort', abort)
      settle()
    }
    const fail = (cause: Error): void => end(() => reject(failed(cause)))
    const abort = (): void => end(() => reject(signal.reason))
    const pending: Pending = { caller, server, fail }
    this.#pending.add(pending)
    signal.addEventListener('abort', abort)
    const late = caller.after(ANSWER_MS_MAX, () =>
      fail(systemError('UND_ERR_HEADERS_TIMEOUT', 'no answer came in time')),
    )
    this.#observer.sent(caller, `${sent.method} ${sent.url}`)
    const reset = (): void => this.#reset(pending, server?.name ?? host)
    const arrive = (ms: number): void =>
      caller.outside(ms, () => {
        const found = this.#servers.get(host)
        if (found === undefined || found.process !== server) {
          caller.after(TOLD_MS, () => fail(systemError('ECONNREFUSED', `nothing listens at ${host}`)))
          return
        }
        found.process.after(0, () => {
          void this.#answer(found, sent).then((response) => {
            if (response === undefined || !found.process.live) return
            const received = (backMs: number): void =>
              void caller.after(backMs, () => end(() => resolve(response())))
            this.#network.carry(found.process.name, caller.name, received, reset)
          })
        })
      })
    this.#network.carry(caller.name, server?.name ?? host, arrive, reset)
    return promise
  }

  /** Creates the response at the caller; undefined: the handler has thrown. */
  async #answer({ process, handler }: Server, sent: Sent): Promise<(() => Response) | undefined> {
    const { url, method, headers, body } = sent
    try {
      const response = await handler(new Request(url, { method, headers, body: body ?? null }))
      const bytes = response.body === null ? undefined : await response.arrayBuffer()
      const { status, statusText } = response
      const copy = { status, statusText, headers: new Headers(response.headers) }
      return () => new Response(BODILESS.includes(status) ? null : bytes, copy)
    } catch (error) {
      if (process.live) this.#observer.threw(process, error)
      return undefined
    }
  }
}

/** Reads the body of a request. Its stream may end late or never, so the signal ends that, too. */
async function readBody(
  body: ReadableStream<Uint8Array | string>,
  signal: AbortSignal,
  failed: FailedFetch,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader()
  const abort = (): void => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', abort)
  const parts: Buffer[] = []
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read())
      parts.push(Buffer.from(part.value as Uint8Array))
    return Buffer.concat(parts)
  } catch (error) {
    throw failed(error as Error)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The host of its URL, as `new URL` writes it. */
export const hostOf = (name: string): string => new URL(`http://${name}`).hostname

/** The request to the place that an answer has named. */
function redirected(
  { url, method, headers, body }: Sent,
  status: number,
  location: string,
  failed: FailedFetch,
): Sent {
  const next = URL.parse(location, url)
  if (next === null || !/^https?:$/.test(next.protocol))
    throw failed(new Error(`no URL of HTTP: ${location}`))
  const isRead = ['GET', 'HEAD'].includes(method)
  const becomesGet = status === 303 ? !isRead : status < 303 && method === 'POST'
  const dropped = [...(becomesGet ? OF_BODY : []), ...(next.origin === new URL(url).origin ? [] : OF_ORIGIN)]
  const kept = new Headers(headers)
  for (const name of dropped) kept.delete(name)
  const sent = { url: next.href, headers: kept }
  return becomesGet ? { ...sent, method: 'GET', body: undefined } : { ...sent, method, body }
}

const systemError = (code: string, message: string): Error => Object.assign(new Error(message), { code })
