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

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#send(this.#dialect.put(key, value))
  }

  update(key: string, value: Uint8Array, revision: number): Promise<number> {
    return this.#send(this.#dialect.update(key, value, revision), revisionIn)
  }

  async get(key: string, consistency: Consistency): Promise<void> {
    await this.#send(this.#dialect.get(key, consistency))
  }

  async range(start: string, limit: number, consistency: Consistency): Promise<void> {
    await this.#send(this.#dialect.range(start, limit, consistency))
  }

  close(): void {
    for (const connection of this.#free) connection.close()
  }

  /** `read` takes from the body what is needed: the next answer overwrites it. */
  async #send<Result>(request: Request, read: (body: Buffer) => Result): Promise<Result>
  async #send(request: Request): Promise<void>
  async #send<Result>(request: Request, read?: (body: Buffer) => Result): Promise<Result | undefined> {
    const connection = this.#free.pop()
    if (connection === undefined) throw new Error('more operations than connections')
    try {
      const { status, body } = await connection.send(request)
      if (status !== 200) throw new Error(`status ${status}`)
      return read?.(body)
    } finally {
      this.#free.push(connection)
    }
  }
}

const revisionIn = (body: Buffer): number => JSON.parse(body.toString()).mod_revision
