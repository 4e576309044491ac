import type { Dialect } from './dialects.ts'
import { HttpConnection, type Identity, type Request } from './http-connection.ts'
import type { Consistency } from './load.ts'
import type { Target } from './target.ts'

/** HTTP/1.1 over bare sockets: a connection carries one operation at a time, so there are as many as operations. */
export class HttpTarget implements Target {
  readonly #dialect: Dialect
  readonly #free: HttpConnection[]

  constructor(dialect: Dialect, endpoints: readonly string[], inFlight: number, identity?: Identity) {
    this.#dialect = dialect
    this.#free = Array.from(
      { length: inFlight },
      (_, number) => new HttpConnection(endpoints[number % endpoints.length] ?? '', identity),
    )
  }

  put(key: string, value: Uint8Array): Promise<void> {
    return this.#send(this.#dialect.put(key, value))
  }

  get(key: string, consistency: Consistency): Promise<void> {
    return this.#send(this.#dialect.get(key, consistency))
  }

  range(start: string, limit: number, consistency: Consistency): Promise<void> {
    return this.#send(this.#dialect.range(start, limit, consistency))
  }

  close(): void {
    for (const connection of this.#free) connection.close()
  }

  async #send(request: Request): Promise<void> {
    const connection = this.#free.pop()
    if (connection === undefined) throw new Error('more operations than connections')
    try {
      const { status } = await connection.send(request)
      if (status !== 200) throw new Error(`status ${status}`)
    } finally {
      this.#free.push(connection)
    }
  }
}
